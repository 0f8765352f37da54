import { Digest } from '../../names/digest.ts';
import type { EncodedChunk } from '../../oci/flat-manifest.ts';
import type { DigestJob, DigestResult, PushedChunk, PushJob, PushResult } from '../../chunks/chunk-job.ts';
import type { Extent } from '../../chunks/disk-cut.ts';
import type { WorkerPool } from '../../chunks/worker-pool.ts';

/* What threads do with the extents of a disk that is pushed. */

/**
 * Told of an extent how much of the work on it is done, in bytes of the disk; all, when nothing more is to be told of
 * it now.
 */
export type UnderWay = (extent: Extent, done: number) => void;

/** Hashes extents of a disk. @param onHashed told of each, what it is. */
export async function hashExtents(
  pool: WorkerPool,
  disk: string,
  extents: readonly Extent[],
  onHashed: (extent: Extent, content: Pick<DigestResult, 'contentDigest' | 'isZero'>) => void,
  onUnderWay: UnderWay,
): Promise<void> {
  const jobs = new Map(
    extents.map((extent): [DigestJob, Extent] => [
      { kind: 'digest', disk, offset: extent.offset, contentSize: extent.size },
      extent,
    ]),
  );
  await pool.runAll(
    [...jobs.keys()],
    (job, result) => {
      const extent = jobs.get(job);
      if (extent !== undefined) onHashed(extent, result);
    },
    {
      onMoved: (job, { diskBytes }) => {
        const extent = jobs.get(job);
        if (extent !== undefined) onUnderWay(extent, diskBytes);
      },
    },
  );
}

/** How the blob of an extent came into the repository, and whether the extent was found to hold nothing but zeros. */
export interface PushedHow {
  readonly outcome: PushedChunk['outcome'];
  readonly isZero: boolean;
}

/** What becomes of the zeros of one length. */
type Zeros =
  | { readonly kind: 'under-way'; readonly by: PushJob; readonly waiting: Extent[] }
  | { readonly kind: 'sent'; readonly as: PushedChunk };

/**
 * Encodes extents and uploads them, unless the repository has them. What is the same is encoded once: whatever is known
 * to be, and zeros of one length.
 *
 * @param work the jobs, each with the extents that have the content of its own.
 * @param onPushed told of each extent when its blob is in the repository.
 * @param onUnderWay told of one of the extents of each job.
 */
export async function pushExtents(
  pool: WorkerPool,
  work: ReadonlyMap<PushJob, readonly Extent[]>,
  onPushed: (extent: Extent, chunk: EncodedChunk, how: PushedHow) => void,
  onUnderWay: UnderWay,
): Promise<void> {
  const zeros = new Map<number, Zeros>();
  const settle = (job: PushJob, result: PushResult, add: (more: PushJob) => void): void => {
    const extents = work.get(job) ?? [];
    const same = zeros.get(job.contentSize);
    if (result.outcome !== 'zero') {
      const isForAll = same?.kind === 'under-way' && same.by === job;
      if (isForAll) zeros.set(job.contentSize, { kind: 'sent', as: result });
      const [first, ...others] = isForAll ? same.waiting : extents;
      const { outcome } = result;
      if (first !== undefined) onPushed(first, encodedChunk(result), { outcome, isZero: isForAll });
      for (const each of others) onPushed(each, encodedChunk(result), { outcome: 'present', isZero: isForAll });
    } else if (same === undefined) {
      const send: PushJob = { ...job, zeros: 'send' };
      zeros.set(job.contentSize, { kind: 'under-way', by: send, waiting: [...extents] });
      add(send);
    } else if (same.kind === 'under-way') same.waiting.push(...extents);
    else for (const each of extents) onPushed(each, encodedChunk(same.as), { outcome: 'present', isZero: true });
  };
  const tell = (job: PushJob, diskBytes: number): void => {
    const same = zeros.get(job.contentSize);
    const isForAll = same?.kind === 'under-way' && same.by === job;
    const [first] = isForAll ? same.waiting : (work.get(job) ?? []);
    if (first !== undefined) onUnderWay(first, diskBytes);
  };
  await pool.runAll(
    [...work.keys()],
    (job, result, add) => {
      if (result.outcome === 'zero') tell(job, job.contentSize);
      settle(job, result, add);
    },
    { onMoved: (job, { diskBytes }) => tell(job, diskBytes) },
  );
}

function encodedChunk({ blob, contentSize, contentDigest, pieces }: PushedChunk): EncodedChunk {
  return {
    digest: Digest.parse(blob.digest),
    size: blob.size,
    contentSize,
    contentDigest: Digest.parse(contentDigest),
    entries: pieces,
  };
}
