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

/**
 * Encodes stretches and uploads them, unless the repository has them. Of zeros of one length the first goes up, for all.
 *
 * @param work the jobs, which tell of zeros, and their stretches.
 * @param onPushed told of each stretch when its blob is in the repository.
 */
export async function pushStretches(
  pool: WorkerPool,
  work: ReadonlyMap<PushJob, Stretch>,
  onPushed: (stretch: Stretch, chunk: EncodedChunk, outcome: PushedChunk['outcome']) => void,
): Promise<void> {
  const stretches = new Map(work);
  /** What came of zeros, or who waits for that, by their length. */
  const zeros = new Map<number, PushedChunk | Stretch[]>();
  await pool.runAll([...work.keys()], (job, result, add) => {
    const stretch = stretches.get(job);
    if (stretch === undefined) return;
    const same = zeros.get(stretch.size);
    if (result.outcome !== 'zero') {
      onPushed(stretch, encodedChunk(result), result.outcome);
      if (job.zeros === 'tell' || !Array.isArray(same)) return;
      zeros.set(stretch.size, result);
      for (const each of same) onPushed(each, encodedChunk(result), 'present');
    } else if (same === undefined) {
      zeros.set(stretch.size, []);
      const send: PushJob = { ...job, zeros: 'send' };
      stretches.set(send, stretch);
      add(send);
    } else if (Array.isArray(same)) same.push(stretch);
    else onPushed(stretch, encodedChunk(same), 'present');
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
