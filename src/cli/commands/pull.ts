import { LocalName } from '../../names/local-name.ts';
import { RemoteName } from '../../names/remote-name.ts';
import { pull } from '../../transfer/pull.ts';
import { withSession } from '../session.ts';
import type { Terminal } from '../terminal.ts';

export interface PullCommandOptions {
  readonly insecure?: true;
  readonly concurrency: number;
}

export async function runPull(terminal: Terminal, text: string, options: PullCommandOptions): Promise<number> {
  return withSession(terminal, async (session, say) => {
    // GitLab's executor pulls whatever it is told to run, local VMs too, and wants success (tart-cli §1.11).
    const local = LocalName.tryParse(text);
    if (local !== undefined && session.vms.find(local) !== undefined) {
      say(`"${text}" is a local VM, there is nothing to pull`);
      return 0;
    }
    const name = RemoteName.parse(text);
    const { status, digest } = await pull(session, name, {
      insecure: options.insecure ?? false,
      concurrency: options.concurrency,
    });
    switch (status) {
      case 'present':
        say(`${name.toString()} is up to date (${digest.toString()})`);
        break;
      case 'linked':
        say(`${name.toString()} was cached already and has its tag now (${digest.toString()})`);
        break;
      case 'pulled':
        say(`pulled ${name.toString()} (${digest.toString()})`);
        break;
    }
    return 0;
  });
}
