import { RemoteName } from '../../names/remote-name.ts';
import { copyImage } from '../../transfer/copy.ts';
import { withSession } from '../session.ts';
import type { Terminal } from '../terminal.ts';

export interface CopyCommandOptions {
  readonly insecure?: true;
  readonly insecureSource?: true;
  readonly insecureDestination?: true;
  readonly concurrency: number;
  /** Megabytes (10^6 bytes); 0: whole blobs. */
  readonly chunkSize: number;
}

export async function runCopy(
  terminal: Terminal,
  source: string,
  destination: string,
  options: CopyCommandOptions,
): Promise<number> {
  const from = RemoteName.parse(source);
  const to = RemoteName.parse(destination);
  return withSession(terminal, async (session, say) => {
    const { digest } = await copyImage(session, from, to, {
      insecureSource: options.insecure ?? options.insecureSource ?? false,
      insecureTarget: options.insecure ?? options.insecureDestination ?? false,
      concurrency: options.concurrency,
      ...(options.chunkSize === 0 ? {} : { uploadChunkBytes: options.chunkSize * 1_000_000 }),
    });
    say(`copied ${from.toString()} to ${to.toString()} (${digest.toString()})`);
    return 0;
  });
}
