import { createReadStream, rmSync } from 'node:fs';
import { Digest } from '../names/digest.ts';
import { encodeChunk, isAllZero } from './chunk-encode.ts';
import type { ChunkContext } from './chunk-fetch.ts';
import type { PushJob, PushResult } from './chunk-job.ts';
import { PIECE_BYTES } from './disk-window.ts';

/**
 * Encodes one stretch of a disk and uploads it unless the repository has it. The encoded bytes go to a spool file: a registry is
 * told the digest before the first byte, an upload that breaks is repeated without encoding again, and memory stays small
 * (Tart keeps whole encoded chunks in memory, tart-cli §7 #27).
 */
export class ChunkPusher {
  /** Stretches of zeros, by length: a sparse disk has hundreds, and all become the same blob. */
  readonly #zeroChunks = new Map<number, Promise<PushResult>>();

  async push(job: PushJob, context: ChunkContext): Promise<PushResult> {
    if (!(await isAllZero(job, context.signal, context.stopwatch))) return encodeAndUpload(job, context);
    const known = this.#zeroChunks.get(job.contentSize);
    if (known !== undefined) return { ...(await known), uploaded: false };
    const first = encodeAndUpload(job, context);
    this.#zeroChunks.set(job.contentSize, first);
    return first;
  }
}

async function encodeAndUpload(job: PushJob, context: ChunkContext): Promise<PushResult> {
  try {
    const encoded = await encodeChunk(job, job.spool, context.signal, context.stopwatch);
    const uploaded = await upload(job, encoded, context);
    return { kind: 'push', ...encoded, contentSize: job.contentSize, uploaded };
  } finally {
    rmSync(job.spool, { force: true });
  }
}

async function upload(job: PushJob, { blob }: Pick<PushResult, 'blob'>, context: ChunkContext): Promise<boolean> {
  const digest = Digest.parse(blob.digest);
  const { client, signal } = context;
  if (!job.sendAnyway && (await client.blobExists({ digest, size: blob.size }, { signal }))) return false;
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
