import { TartletError } from '../../errors.ts';
import { RemoteName } from '../../names/remote-name.ts';
import type { Session } from '../../session/session.ts';
import { pushVm } from '../../vm/push.ts';
import { digestFile } from '../session/digest-file.ts';
import { renderJson } from '../render/json.ts';
import { distinctDigests, pushResult } from '../render/result.ts';
import { type TransferOptions, withSession } from '../session/session.ts';
import type { Terminal } from '../terminal/terminal.ts';

export interface PushCommandOptions extends TransferOptions {
  readonly insecure?: true;
  readonly concurrency: number;
  /** Megabytes (10^6 bytes); 0: whole blobs. */
  readonly chunkSize: number;
  readonly label?: readonly string[];
  readonly populateCache?: true;
  /** Mebibytes (2^20 bytes) of disk per chunk. */
  readonly layerSize?: number;
  readonly pieces?: true;
  readonly reproducible?: true;
  readonly format: 'text' | 'json';
  /** A path. */
  readonly digestfile?: string;
}

export async function runPush(
  terminal: Terminal,
  source: string,
  targets: readonly string[],
  options: PushCommandOptions,
): Promise<number> {
  const file = options.digestfile === undefined ? undefined : await digestFile(terminal, options.digestfile);
  const work = async (session: Session, say: (line: string) => void): Promise<number> => {
    const [first, ...more] = targets.map((text) => RemoteName.parse(text));
    if (first === undefined) throw new TartletError('USAGE', 'push needs at least one remote name');
    const outcomes = await pushVm(session, source, [first, ...more], {
      insecure: options.insecure ?? false,
      concurrency: options.concurrency,
      labels: parseLabels(options.label ?? []),
      populateCache: options.populateCache ?? false,
      reproducible: options.reproducible ?? false,
      pieces: options.pieces ?? false,
      ...(options.chunkSize === 0 ? {} : { uploadChunkBytes: options.chunkSize * 1_000_000 }),
      diskChunkBytes: options.layerSize === undefined ? undefined : options.layerSize * 1024 ** 2,
      onPushed: ({ names, digest }) => {
        for (const name of names) say(`pushed ${name.toString()} (${digest.toString()})`);
      },
    });
    await file?.write(distinctDigests(outcomes), session.fileMode);
    if (options.format === 'json') terminal.stdout.write(renderJson(pushResult(source, outcomes)));
    return 0;
  };
  return withSession(terminal, work, {
    report: options,
    limitRate: options.limitRate,
    stdout: options.format === 'json' ? 'result' : 'progress',
  });
}

/**
 * Split at the first `=`; without one the value is empty, an empty key is ignored, the last of a key wins (tart-formats
 * §4.5).
 */
function parseLabels(texts: readonly string[]): ReadonlyMap<string, string> {
  const labels = new Map<string, string>();
  for (const text of texts.map((each) => each.trim())) {
    const equals = text.indexOf('=');
    const key = equals < 0 ? text : text.slice(0, equals);
    if (key !== '') labels.set(key, equals < 0 ? '' : text.slice(equals + 1));
  }
  return labels;
}
