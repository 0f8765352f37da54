import { removeEntry } from '../fs/remove.ts';
import { Digest } from '../names/digest.ts';
import { encodeChunk, isAllZero } from './chunk-encode.ts';
import type { ChunkContext } from './chunk-fetch.ts';
import type { PushedChunk, PushJob, PushResult } from './chunk-job.ts';
import { fileBytes } from './file-blob.ts';

/**
 * Encodes one extent of a disk and uploads it unless the repository has it. The encoded bytes go to a spool file: a
 * registry is told the digest before the first byte, an upload that breaks is repeated without encoding again, and
 * memory stays small (Tart keeps whole encoded chunks in memory, tart-cli §7 #27).
 */
export async function pushChunk(job: PushJob, context: ChunkContext): Promise<PushResult> {
  if (job.zeros === 'tell' && (await isAllZero(job, context.signal, context.stopwatch))) {
    return { kind: 'push', outcome: 'zero' };
  }
  try {
    const { signal, stopwatch, onWork = () => undefined } = context;
    // Encoding and sending are half of the work each.
    const encoded = await encodeChunk(job, job.spool, signal, stopwatch, (bytes) => onWork(bytes / 2));
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
