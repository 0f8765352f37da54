import { createHash } from 'node:crypto';
import { closeSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { AppleLz4Encoder } from '../codec/apple-lz4-encoder.ts';
import { diskError, onDisk } from '../fs/disk-error.ts';
import { createFileSync } from '../fs/entry.ts';
import { modeIn } from '../fs/sharing.ts';
import type { EncodeJob, EncodeResult, PushedChunk, PushJob } from './chunk-job.ts';
import { withEncoder } from './lz4-backend.ts';
import { PieceRecorder } from './piece-record.ts';
import { isZeroPiece, PIECE_BYTES, readWindow } from './disk-window.ts';
import { Stopwatch } from './time-spent.ts';

/** What an extent became. */
export type EncodedExtent = Pick<PushedChunk, 'blob' | 'contentDigest' | 'pieces'>;

/** Which bytes of which disk become a chunk, and whether in pieces. */
export type DiskExtent = Pick<PushJob, 'disk' | 'offset' | 'contentSize' | 'pieces'>;

/**
 * Whether an extent holds nothing. Stops at the first byte that is not zero, so it costs nothing where there is data.
 */
export async function isAllZero(
  { disk, offset, contentSize }: DiskExtent,
  signal: AbortSignal,
  stopwatch = new Stopwatch(),
): Promise<boolean> {
  for await (const piece of readWindow(disk, offset, contentSize, signal, stopwatch)) {
    if (!stopwatch.onProcessor(() => isZeroPiece(piece))) return false;
  }
  return true;
}

/**
 * Encodes an extent of a disk into a file. The same bytes always give the same file.
 *
 * @param to the file; replaced when it is there.
 * @param stopwatch counts what the work costs.
 * @param onRead told of the disk's bytes as they are encoded.
 * @throws TartletError `DISK_*`, `CHUNK_CORRUPT` when the disk shrinks meanwhile.
 */
export async function encodeChunk(
  { disk, offset, contentSize, pieces = false }: DiskExtent,
  to: string,
  signal: AbortSignal,
  stopwatch = new Stopwatch(),
  onRead: (diskBytes: number) => void = () => undefined,
): Promise<EncodedExtent> {
  const content = createHash('sha256');
  const mode = await onDisk('create', to, async () => modeIn(dirname(to), 0o600));
  const spool = new Spool(to, mode, stopwatch);
  const recorder = pieces ? new PieceRecorder(() => spool.size) : undefined;
  try {
    await withEncoder(async (workspace) => {
      const encoder = new AppleLz4Encoder((bytes) => spool.write(bytes), workspace, recorder?.pieceBytes);
      for await (const piece of readWindow(disk, offset, contentSize, signal, stopwatch)) {
        stopwatch.onProcessor(() => {
          content.update(piece);
          if (recorder === undefined) encoder.push(piece);
          else recorder.push(piece, (bytes) => encoder.push(bytes));
        });
        onRead(piece.length);
      }
      stopwatch.onProcessor(() => encoder.finish());
    });
    const blob = stopwatch.onProcessor(() => spool.finish());
    return { blob, contentDigest: `sha256:${content.digest('hex')}`, pieces: recorder?.finish() };
  } finally {
    spool.close();
  }
}

/** Encodes extents for a caller that gathers them. */
export class ChunkEncoder {
  /** Extents of zeros, by length: a sparse disk has hundreds, and all become the same blob. */
  readonly #zeroChunks = new Map<number, Promise<EncodeResult>>();

  async encode(
    job: EncodeJob,
    signal: AbortSignal,
    stopwatch = new Stopwatch(),
    onRead: (diskBytes: number) => void = () => undefined,
  ): Promise<EncodeResult> {
    const isZero = await isAllZero(job, signal, stopwatch);
    const known = isZero ? this.#zeroChunks.get(job.contentSize) : undefined;
    if (known !== undefined) {
      onRead(job.contentSize);
      return known;
    }
    const encoded = encodeChunk(job, job.spool, signal, stopwatch, onRead).then(
      (chunk): EncodeResult => ({ kind: 'encode', ...chunk, spool: job.spool, isZero }),
    );
    if (isZero) this.#zeroChunks.set(job.contentSize, encoded);
    return encoded;
  }
}

/** A file that hashes what is written to it, in pieces that suit the disk. */
class Spool {
  readonly #path: string;
  readonly #fd: number;
  readonly #hash = createHash('sha256');
  readonly #buffer = Buffer.allocUnsafe(PIECE_BYTES);
  readonly #stopwatch: Stopwatch;
  #filled = 0;
  #written = 0;

  constructor(path: string, mode: number, stopwatch: Stopwatch) {
    this.#path = path;
    this.#stopwatch = stopwatch;
    try {
      this.#fd = createFileSync(path, 'empty', mode);
    } catch (cause) {
      throw diskError(cause, 'create', path);
    }
  }

  write(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length; ) {
      const piece = bytes.subarray(from, from + this.#buffer.length - this.#filled);
      this.#buffer.set(piece, this.#filled);
      this.#filled += piece.length;
      from += piece.length;
      if (this.#filled === this.#buffer.length) this.#flush();
    }
  }

  #flush(): void {
    const piece = this.#buffer.subarray(0, this.#filled);
    this.#hash.update(piece);
    try {
      this.#stopwatch.onDisk(() => {
        for (let done = 0; done < piece.length; ) {
          done += writeSync(this.#fd, piece, done, piece.length - done, this.#written + done);
        }
      });
    } catch (cause) {
      throw diskError(cause, 'write', this.#path);
    }
    this.#written += piece.length;
    this.#filled = 0;
  }

  /** Bytes that it was given so far. */
  get size(): number {
    return this.#written + this.#filled;
  }

  finish(): { digest: string; size: number } {
    this.#flush();
    return { digest: `sha256:${this.#hash.digest('hex')}`, size: this.size };
  }

  close(): void {
    closeSync(this.#fd);
  }
}
