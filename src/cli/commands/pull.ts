import { TartletError } from '../../errors.ts';
import { LocalName } from '../../names/local-name.ts';
import { RemoteName } from '../../names/remote-name.ts';
import { pull } from '../../transfer/pull.ts';
import { previewPull } from '../../transfer/pull-preview.ts';
import { renderJson } from '../render/json.ts';
import { previewJson, previewText } from '../render/pull-preview.ts';
import { withSession } from '../session.ts';
import type { Terminal } from '../terminal.ts';

export interface PullCommandOptions {
  readonly insecure?: true;
  readonly concurrency: number;
  readonly dryRun?: true;
  readonly format?: 'text' | 'json';
}

export async function runPull(terminal: Terminal, text: string, options: PullCommandOptions): Promise<number> {
  if (options.format !== undefined && options.dryRun === undefined) {
    throw new TartletError('USAGE', '--format says how to print a dry run', { next: 'give --dry-run with it' });
  }
  return withSession(terminal, async (session, say) => {
    // GitLab's executor pulls whatever it is told to run, local VMs too, and wants success (tart-cli §1.11).
    const local = LocalName.tryParse(text);
    if (local !== undefined && session.vms.find(local) !== undefined) {
      say(`"${text}" is a local VM, there is nothing to pull`);
      return 0;
    }
    const name = RemoteName.parse(text);
    if (options.dryRun === true) {
      const preview = await previewPull(session, name, { insecure: options.insecure ?? false });
      terminal.stdout.write(options.format === 'json' ? renderJson(previewJson(preview)) : previewText(preview));
      return 0;
    }
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
