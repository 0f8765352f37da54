import { RemoteName } from '../../names/remote-name.ts';
import { copyImage } from '../../transfer/copy/copy.ts';
import type { Session } from '../../session/session.ts';
import { digestFile } from '../session/digest-file.ts';
import { renderJson } from '../render/json.ts';
import { copyResult } from '../render/result.ts';
import { type MirrorOptions, mirrorsBy, type TransferOptions, withSession } from '../session/session.ts';
import type { Terminal } from '../terminal/terminal.ts';

export interface CopyCommandOptions extends TransferOptions, MirrorOptions {
  readonly insecure?: true;
  readonly insecureSource?: true;
  readonly insecureDestination?: true;
  readonly concurrency: number;
  /** Megabytes (10^6 bytes); 0: whole blobs. */
  readonly chunkSize: number;
  readonly format: 'text' | 'json';
  /** A path. */
  readonly digestfile?: string;
}

export async function runCopy(
  terminal: Terminal,
  source: string,
  destination: string,
  options: CopyCommandOptions,
): Promise<number> {
  const from = RemoteName.parse(source);
  const to = RemoteName.parse(destination);
  const file = options.digestfile === undefined ? undefined : await digestFile(terminal, options.digestfile);
  const work = async (session: Session, say: (line: string) => void): Promise<number> => {
    const outcome = await copyImage(session, from, to, {
      insecureSource: options.insecure ?? options.insecureSource ?? false,
      insecureTarget: options.insecure ?? options.insecureDestination ?? false,
      concurrency: options.concurrency,
      ...(options.chunkSize === 0 ? {} : { uploadChunkBytes: options.chunkSize * 1_000_000 }),
    });
    const digest = outcome.digest.toString();
    say(`copied ${from.toString()} to ${to.toString()} (${digest})`);
    await file?.write([digest], session.fileMode);
    if (options.format === 'json') terminal.stdout.write(renderJson(copyResult(outcome)));
    return 0;
  };
  return withSession(terminal, work, {
    report: options,
    limitRate: options.limitRate,
    mirrors: mirrorsBy(options),
    stdout: options.format === 'json' ? 'result' : 'progress',
  });
}
