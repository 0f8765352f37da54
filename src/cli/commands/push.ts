import { TartletError } from '../../errors.ts';
import { RemoteName } from '../../names/remote-name.ts';
import { pushVm } from '../../vm/push.ts';
import { withSession } from '../session.ts';
import type { Terminal } from '../terminal.ts';

export interface PushCommandOptions {
  readonly insecure?: true;
  readonly concurrency: number;
  /** Megabytes (10^6 bytes); 0: whole blobs. */
  readonly chunkSize: number;
  readonly label?: readonly string[];
}

export async function runPush(
  terminal: Terminal,
  source: string,
  targets: readonly string[],
  options: PushCommandOptions,
): Promise<number> {
  return withSession(terminal, async (session) => {
    const [first, ...more] = targets.map((text) => RemoteName.parse(text));
    if (first === undefined) throw new TartletError('USAGE', 'push needs at least one remote name');
    const outcomes = await pushVm(session, source, [first, ...more], {
      insecure: options.insecure ?? false,
      concurrency: options.concurrency,
      labels: parseLabels(options.label ?? []),
      ...(options.chunkSize === 0 ? {} : { uploadChunkBytes: options.chunkSize * 1_000_000 }),
    });
    for (const { names, digest } of outcomes) {
      for (const name of names) terminal.stderr.write(`pushed ${name.toString()} (${digest.toString()})\n`);
    }
    return 0;
  });
}

/** Split at the first `=`; without one the value is empty, an empty key is ignored, the last of a key wins (tart-formats §4.5). */
function parseLabels(texts: readonly string[]): ReadonlyMap<string, string> {
  const labels = new Map<string, string>();
  for (const text of texts.map((each) => each.trim())) {
    const equals = text.indexOf('=');
    const key = equals < 0 ? text : text.slice(0, equals);
    if (key !== '') labels.set(key, equals < 0 ? '' : text.slice(equals + 1));
  }
  return labels;
}
