import { LocalName } from '../../names/local-name.ts';
import { RemoteName } from '../../names/remote-name.ts';
import { pull } from '../../transfer/pull/pull.ts';
import { previewPull } from '../../transfer/pull/pull-preview.ts';
import type { Session } from '../../session/session.ts';
import type { PeerFlags } from '../session/peer-settings.ts';
import { renderJson } from '../render/json.ts';
import { previewJson, previewText } from '../render/pull-preview.ts';
import { localPullResult, pullResult } from '../render/result.ts';
import { type MirrorOptions, mirrorsBy, type TransferOptions, withSession } from '../session/session.ts';
import type { Terminal } from '../terminal/terminal.ts';

export interface PullCommandOptions extends TransferOptions, PeerFlags, MirrorOptions {
  readonly insecure?: true;
  readonly concurrency: number;
  readonly dryRun?: true;
  readonly format: 'text' | 'json';
}

export async function runPull(terminal: Terminal, text: string, options: PullCommandOptions): Promise<number> {
  const print = (result: object): void => {
    if (options.format === 'json') terminal.stdout.write(renderJson(result));
  };
  const work = async (session: Session, say: (line: string) => void): Promise<number> => {
    // GitLab's executor pulls whatever it is told to run, local VMs too, and wants success (tart-cli §1.11).
    const local = LocalName.tryParse(text);
    if (local !== undefined && session.vms.find(local) !== undefined) {
      say(`"${text}" is a local VM, there is nothing to pull`);
      print(localPullResult(text));
      return 0;
    }
    const name = RemoteName.parse(text);
    if (options.dryRun === true) {
      const preview = await previewPull(session, name, { insecure: options.insecure ?? false });
      terminal.stdout.write(
        options.format === 'json' ? renderJson(previewJson(preview)) : previewText(preview, terminal.stdout),
      );
      return 0;
    }
    const outcome = await pull(session, name, {
      insecure: options.insecure ?? false,
      concurrency: options.concurrency,
    });
    const { status, digest } = outcome;
    switch (status) {
      case 'present':
        say(`${name.toString()} is up to date (${digest.toString()})`);
        break;
      case 'linked':
        say(`${name.toString()}: already cached; tag updated (${digest.toString()})`);
        break;
      case 'pulled':
        say(`pulled ${name.toString()} (${digest.toString()})`);
        break;
    }
    print(pullResult(outcome));
    return 0;
  };
  const hasResult = options.dryRun === true || options.format === 'json';
  return withSession(terminal, work, {
    report: options,
    limitRate: options.limitRate,
    peers: options,
    mirrors: mirrorsBy(options),
    stdout: hasResult ? 'result' : 'progress',
  });
}
