import type { Digest } from '../names/digest.ts';
import type { DiskChunk } from '../oci/tart-image.ts';
import type { FetchJob, VerifyJob } from './chunk-job.ts';
import type { WorkerPool } from './worker-pool.ts';

/** A disk that is being put together from chunks. */
export interface UnfinishedDisk {
  readonly path: string;
  /** Whether it is known to hold nothing but zeros. */
  readonly fresh: boolean;
}

/** Which of the chunks are on the disk already: all of them are hashed, whatever a journal may say (reliability §4.1). */
export async function intactChunks(
  pool: WorkerPool,
  disk: string,
  chunks: readonly DiskChunk[],
): Promise<Set<DiskChunk>> {
  const byOffset = new Map(chunks.map((chunk) => [chunk.offset, chunk]));
  const intact = new Set<DiskChunk>();
  await pool.runAll(
    chunks.map((chunk) => verifyJob(disk, chunk.offset, chunk.size, chunk.contentDigest)),
    (job, result) => {
      const chunk = byOffset.get(job.offset);
      if (result.intact && chunk !== undefined) intact.add(chunk);
    },
  );
  return intact;
}

/** Whether the whole of a file hashes to this. */
export async function hashesTo(pool: WorkerPool, path: string, size: number, digest: Digest): Promise<boolean> {
  let intact = false;
  await pool.runAll([verifyJob(path, 0, size, digest)], (_, result) => {
    intact = result.intact;
  });
  return intact;
}

function verifyJob(disk: string, offset: number, contentSize: number, digest: Digest): VerifyJob {
  return { kind: 'verify', contentDigest: digest.toString(), contentSize, disk, offset };
}

/**
 * Fetches chunks and writes them where they belong.
 * @param onDone told of each chunk that is verified in its place; what it does is waited for.
 */
export async function fetchChunks(
  pool: WorkerPool,
  disk: UnfinishedDisk,
  chunks: readonly DiskChunk[],
  onDone: (chunk: DiskChunk) => Promise<void> | void,
): Promise<void> {
  const byOffset = new Map(chunks.map((chunk) => [chunk.offset, chunk]));
  await pool.runAll(fetchJobs(chunks, disk), async (job) => {
    for (const offset of job.offsets) {
      const chunk = byOffset.get(offset);
      if (chunk !== undefined) await onDone(chunk);
    }
  });
}

/** One job per different blob: a blob that occurs several times is fetched once and written everywhere (reliability C21). */
function fetchJobs(chunks: readonly DiskChunk[], { path, fresh }: UnfinishedDisk): FetchJob[] {
  const groups = new Map<string, DiskChunk[]>();
  for (const chunk of chunks) {
    const key = `${chunk.descriptor.digest.toString()} ${chunk.size} ${chunk.contentDigest.toString()}`;
    groups.set(key, [...(groups.get(key) ?? []), chunk]);
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    return {
      kind: 'fetch',
      blob: { digest: first.descriptor.digest.toString(), size: first.descriptor.size },
      contentDigest: first.contentDigest.toString(),
      contentSize: first.size,
      disk: path,
      offsets: group.map((chunk) => chunk.offset),
      fresh,
    };
  });
}

/** Bytes that cross the network for these chunks: a blob that occurs several times counts once. */
export function encodedBytes(chunks: readonly DiskChunk[]): number {
  return [
    ...new Map(chunks.map((chunk) => [chunk.descriptor.digest.toString(), chunk.descriptor.size])).values(),
  ].reduce((sum, size) => sum + size, 0);
}
