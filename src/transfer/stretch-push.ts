import { Digest } from '../names/digest.ts';
import type { EncodedChunk } from '../oci/flat-manifest.ts';
import type { DigestJob, PushedChunk, PushJob } from './chunk-job.ts';
import type { Stretch } from './disk-cut.ts';
import type { WorkerPool } from './worker-pool.ts';

/* What threads do with the stretches of a disk that is pushed. */

/** Hashes stretches of a disk. @param onHashed told of each, with the text of its content's digest. */
export async function hashStretches(
  pool: WorkerPool,
  disk: string,
  stretches: readonly Stretch[],
  onHashed: (stretch: Stretch, content: string) => void,
): Promise<void> {
  const jobs = new Map(
    stretches.map((stretch): [DigestJob, Stretch] => [
      { kind: 'digest', disk, offset: stretch.offset, contentSize: stretch.size },
      stretch,
    ]),
  );
  await pool.runAll([...jobs.keys()], (job, { contentDigest }) => {
    const stretch = jobs.get(job);
    if (stretch !== undefined) onHashed(stretch, contentDigest);
  });
}

/** What becomes of the zeros of one length. */
type Zeros =
  | { readonly kind: 'under-way'; readonly by: PushJob; readonly waiting: Stretch[] }
  | { readonly kind: 'sent'; readonly as: PushedChunk };

/**
 * Encodes stretches and uploads them, unless the repository has them. What is the same is encoded once: whatever is known to be, and zeros of
 * one length.
 *
 * @param work the jobs, each with the stretches that have the content of its own.
 * @param onPushed told of each stretch when its blob is in the repository.
 */
export async function pushStretches(
  pool: WorkerPool,
  work: ReadonlyMap<PushJob, readonly Stretch[]>,
  onPushed: (stretch: Stretch, chunk: EncodedChunk, outcome: PushedChunk['outcome']) => void,
): Promise<void> {
  const zeros = new Map<number, Zeros>();
  await pool.runAll([...work.keys()], (job, result, add) => {
    const stretches = work.get(job) ?? [];
    const same = zeros.get(job.contentSize);
    if (result.outcome !== 'zero') {
      const isForAll = same?.kind === 'under-way' && same.by === job;
      if (isForAll) zeros.set(job.contentSize, { kind: 'sent', as: result });
      const [first, ...others] = isForAll ? same.waiting : stretches;
      if (first !== undefined) onPushed(first, encodedChunk(result), result.outcome);
      for (const each of others) onPushed(each, encodedChunk(result), 'present');
    } else if (same === undefined) {
      const send: PushJob = { ...job, zeros: 'send' };
      zeros.set(job.contentSize, { kind: 'under-way', by: send, waiting: [...stretches] });
      add(send);
    } else if (same.kind === 'under-way') same.waiting.push(...stretches);
    else for (const each of stretches) onPushed(each, encodedChunk(same.as), 'present');
  });
}

function encodedChunk({ blob, contentSize, contentDigest }: PushedChunk): EncodedChunk {
  return {
    digest: Digest.parse(blob.digest),
    size: blob.size,
    contentSize,
    contentDigest: Digest.parse(contentDigest),
  };
}
