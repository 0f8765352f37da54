import { removeEntry } from '../fs/remove.ts';
import { Digest } from '../names/digest.ts';
import { AdaptiveConcurrency } from './adaptive-concurrency.ts';
import { type EncodedExtent, encodeChunk, isAllZero } from './chunk-encode.ts';
import type { ChunkContext } from './chunk-fetch.ts';
import type { PushedChunk, PushJob, PushResult } from './chunk-job.ts';
import { fileBytes } from './file-blob.ts';

/**
 * Encodes one extent of a disk and uploads it unless the repository has it. The encoded bytes go to a spool file: a
 * registry is told the digest before the first byte, an upload that breaks is repeated without encoding again, and
 * memory stays small (Tart keeps whole encoded chunks in memory, tart-cli §7 #27).
 */
export async function pushChunk(job: PushJob, context: ChunkContext): Promise<PushResult> {
  const { onWork = () => undefined } = context;
  try {
    const encoded = await encodeInTurn(job, context);
    if (encoded === undefined) return { kind: 'push', outcome: 'zero' };
    const perByte = job.contentSize / 2 / encoded.blob.size;
    const onBytes = (count: number): void => {
      context.onBytes(count);
      onWork(count * perByte);
    };
    const outcome = await upload(job, encoded, { ...context, onBytes });
    if (outcome === 'present') onWork(-job.contentSize / 2);
    return { kind: 'push', ...encoded, contentSize: job.contentSize, outcome };
  } finally {
    await removeEntry(job.spool);
  }
}

/** Who encodes in this thread now. */
const encoding = new AdaptiveConcurrency(1);

/**
 * A thread encodes one extent after the other, however many it was given: so the first is sent while the next is
 * encoded. Side by side all would be ready at the same late time, and the network had nothing to do before.
 *
 * @returns undefined for zeros that are only to be told of.
 */
async function encodeInTurn(
  job: PushJob,
  { signal, stopwatch, onWork = () => undefined }: ChunkContext,
): Promise<EncodedExtent | undefined> {
  const leave = await encoding.acquire();
  try {
    if (job.zeros === 'tell' && (await isAllZero(job, signal, stopwatch))) return undefined;
    // Encoding and sending are half of the work each.
    return await encodeChunk(job, job.spool, signal, stopwatch, (bytes) => onWork(bytes / 2));
  } finally {
    leave();
  }
}

async function upload(
  job: PushJob,
  { blob }: Pick<PushedChunk, 'blob'>,
  { client, signal, onBytes }: ChunkContext,
): Promise<PushedChunk['outcome']> {
  const digest = Digest.parse(blob.digest);
  if (!job.sendAnyway && (await client.blobExists({ digest, size: blob.size }, { action: 'push', signal })))
    return 'present';
  await client.uploadBlob(
    {
      digest,
      size: blob.size,
      open: (from, to) => fileBytes(job.spool, from, to),
    },
    {
      signal,
      onBytes,
      chunkBytes: job.uploadChunkBytes,
    },
  );
  return 'uploaded';
}
