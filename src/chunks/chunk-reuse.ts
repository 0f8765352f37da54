import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { Digest } from '../names/digest.ts';
import type { ClearJob, ClearResult, CopyJob, CopyResult, DigestJob, DigestResult } from './chunk-job.ts';
import { DiskWindow, isZeroPiece, PIECE_BYTES, readWindow } from './disk-window.ts';
import { Stopwatch } from './time-spent.ts';

/**
 * Zeros are looked for in extents of this length, as long as a block of the codec: a copied disk is as sparse as a
 * fetched one.
 */
const ZERO_BYTES = 64 * 1024;

const ZEROS = new Uint8Array(PIECE_BYTES);

/**
 * Copies a chunk from a disk of this machine. The bytes that are written are the ones that were hashed, also when
 * another process changes the seed meanwhile. A seed that is damaged, shorter, or gone is no error: the chunk can still
 * be fetched.
 *
 * @throws TartletError `DISK_*` for the disk that is written.
 */
export async function copyChunk(job: CopyJob, signal: AbortSignal, stopwatch = new Stopwatch()): Promise<CopyResult> {
  const digest = Digest.parse(job.contentDigest);
  const hash = createHash(digest.algorithm);
  const window = new DiskWindow(job.disk, job.offsets, job.contentSize, job.fresh);
  const pieces = readWindow(job.seed, job.from, job.contentSize, signal, stopwatch);
  try {
    for (;;) {
      const next = await nextPiece(pieces, signal);
      if (next === 'unreadable') return { kind: 'copy', intact: false };
      if (next === 'end') break;
      stopwatch.onProcessor(() => hash.update(next));
      stopwatch.onDisk(() => {
        for (const [from, to, zero] of runs(next)) window.write(next.subarray(from, to), zero);
      });
    }
  } finally {
    await pieces.return();
    window.close();
  }
  return { kind: 'copy', intact: hash.digest('hex') === digest.hex };
}

/** The next piece of the seed. Whatever keeps us from reading it, other than an abort, makes it no seed. */
async function nextPiece(
  pieces: AsyncGenerator<Uint8Array, void, undefined>,
  signal: AbortSignal,
): Promise<Uint8Array | 'end' | 'unreadable'> {
  try {
    const next = await pieces.next();
    return next.done === true ? 'end' : next.value;
  } catch {
    signal.throwIfAborted();
    return 'unreadable';
  }
}

/** Cuts a piece where zeros begin and end: as few writes as possible, and none for zeros. */
function* runs(piece: Uint8Array): Generator<[from: number, to: number, zero: boolean]> {
  let from = 0;
  let zero = false;
  for (let at = 0; at < piece.length; at += ZERO_BYTES) {
    const isZero = isZeroPiece(piece.subarray(at, at + ZERO_BYTES));
    if (isZero !== zero && at > from) yield [from, at, zero];
    if (isZero !== zero) from = at;
    zero = isZero;
  }
  if (from < piece.length) yield [from, piece.length, zero];
}

/** Makes an extent zero. What is zero already, holes included, is only read. */
export async function clearChunk(
  job: ClearJob,
  signal: AbortSignal,
  stopwatch = new Stopwatch(),
): Promise<ClearResult> {
  const window = new DiskWindow(job.disk, [job.offset], job.contentSize, false);
  try {
    for (let done = 0; done < job.contentSize; done += PIECE_BYTES) {
      await setImmediate();
      signal.throwIfAborted();
      const zeros = ZEROS.subarray(0, Math.min(PIECE_BYTES, job.contentSize - done));
      stopwatch.onDisk(() => window.write(zeros, true));
    }
  } finally {
    window.close();
  }
  return { kind: 'clear' };
}

/** What an extent of a disk is. */
export async function digestChunk(
  job: DigestJob,
  signal: AbortSignal,
  stopwatch = new Stopwatch(),
  onRead: (diskBytes: number) => void = () => undefined,
): Promise<DigestResult> {
  const hash = createHash('sha256');
  let isZero = true;
  for await (const piece of readWindow(job.disk, job.offset, job.contentSize, signal, stopwatch)) {
    stopwatch.onProcessor(() => {
      hash.update(piece);
      isZero &&= isZeroPiece(piece); // Costs nothing once something was found.
    });
    onRead(piece.length);
  }
  return { kind: 'digest', contentDigest: `sha256:${hash.digest('hex')}`, isZero };
}
