import { createHash } from 'node:crypto';
import { closeSync, createReadStream, openSync, rmSync, writeSync } from 'node:fs';
import { AppleLz4Encoder } from '../codec/apple-lz4-encoder.ts';
import { diskError } from '../home/disk-error.ts';
import { Digest } from '../names/digest.ts';
import type { ChunkContext } from './chunk-fetch.ts';
import type { PushJob, PushResult } from './chunk-job.ts';
import { isZeroPiece, PIECE_BYTES, readWindow } from './disk-window.ts';

/**
 * Encodes one stretch of a disk and uploads it unless the repository has it. The encoded bytes go to a spool file: a registry is
 * told the digest before the first byte, an upload that breaks is repeated without encoding again, and memory stays small
 * (Tart keeps whole encoded chunks in memory, tart-cli §7 #27).
 */
export class ChunkPusher {
  /** Stretches of zeros, by length: a sparse disk has hundreds, and all become the same blob. */
  readonly #zeroChunks = new Map<number, PushResult>();

  async push(job: PushJob, context: ChunkContext): Promise<PushResult> {
    const zero = await isAllZero(job, context.signal);
    const known = zero ? this.#zeroChunks.get(job.contentSize) : undefined;
    if (known !== undefined) return { ...known, uploaded: false };
    try {
      const encoded = await encode(job, context.signal);
      const uploaded = await upload(job, encoded, context);
      const result: PushResult = { kind: 'push', ...encoded, contentSize: job.contentSize, uploaded };
      if (zero) this.#zeroChunks.set(job.contentSize, result);
      return result;
    } finally {
      rmSync(job.spool, { force: true });
    }
  }
}

/** Stops at the first byte that is not zero, so it costs nothing where there is data. */
async function isAllZero(job: PushJob, signal: AbortSignal): Promise<boolean> {
  for await (const piece of readWindow(job.disk, job.offset, job.contentSize, signal)) {
    if (!isZeroPiece(piece)) return false;
  }
  return true;
}

async function encode(job: PushJob, signal: AbortSignal): Promise<Pick<PushResult, 'blob' | 'contentDigest'>> {
  const content = createHash('sha256');
  const spool = new Spool(job.spool);
  try {
    const encoder = new AppleLz4Encoder((bytes) => spool.write(bytes));
    for await (const piece of readWindow(job.disk, job.offset, job.contentSize, signal)) {
      content.update(piece);
      encoder.push(piece);
    }
    encoder.finish();
    const blob = spool.finish();
    return { blob, contentDigest: `sha256:${content.digest('hex')}` };
  } finally {
    spool.close();
  }
}

async function upload(job: PushJob, { blob }: Pick<PushResult, 'blob'>, context: ChunkContext): Promise<boolean> {
  const digest = Digest.parse(blob.digest);
  const { client, signal } = context;
  if (await client.blobExists({ digest, size: blob.size }, { signal })) return false;
  await client.uploadBlob(
    {
      digest,
      size: blob.size,
      open: (from, to) => createReadStream(job.spool, { start: from, end: to - 1, highWaterMark: PIECE_BYTES }),
    },
    {
      signal,
      onBytes: context.onBytes,
      ...(job.uploadChunkBytes === undefined ? {} : { chunkBytes: job.uploadChunkBytes }),
    },
  );
  return true;
}

/** A file that hashes what is written to it, in pieces that suit the disk. */
class Spool {
  readonly #path: string;
  readonly #fd: number;
  readonly #hash = createHash('sha256');
  readonly #buffer = Buffer.allocUnsafe(PIECE_BYTES);
  #filled = 0;
  #size = 0;

  constructor(path: string) {
    this.#path = path;
    try {
      this.#fd = openSync(path, 'w', 0o600);
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
      for (let done = 0; done < piece.length; ) {
        done += writeSync(this.#fd, piece, done, piece.length - done, this.#size + done);
      }
    } catch (cause) {
      throw diskError(cause, 'write', this.#path);
    }
    this.#size += piece.length;
    this.#filled = 0;
  }

  finish(): { digest: string; size: number } {
    this.#flush();
    return { digest: `sha256:${this.#hash.digest('hex')}`, size: this.#size };
  }

  close(): void {
    closeSync(this.#fd);
  }
}
