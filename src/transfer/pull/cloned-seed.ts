import { access, constants } from 'node:fs/promises';
import { fileState } from '../../fs/file-state.ts';
import type { DiskChunk } from '../../oci/tart-image.ts';
import type { VerifyJob } from '../../chunks/chunk-job.ts';
import type { Seed } from '../../session/plan-summary.ts';
import type { WorkerPool } from '../../chunks/worker-pool.ts';

/** A seed as it was before it was cloned. */
export interface ClonedSeed {
  readonly path: string;
  /** See `FileState.touched`. */
  readonly state: string;
}

/**
 * Looks at a seed that is about to be cloned.
 * @returns `gone` when nothing can be read or cloned; undefined for a VM: it may be started at any time, so that only
 * its clone tells what was cloned.
 */
export async function beforeCloning({ path, kind }: Seed): Promise<ClonedSeed | 'gone' | undefined> {
  const state = await touched(path);
  if (state === undefined || !(await isReadable(path))) return 'gone';
  return kind === 'vm' ? undefined : { path, state };
}

/**
 * Hashes a seed in the place of its clone: the blocks are the same, but what is in memory of the seed need not come
 * from the disk (measured: that was a third of a delta pull on XFS, and more than half on Btrfs). It counts only while
 * the seed is what was cloned, to the nanosecond of its last change; nothing that is wrong with it is an error, because
 * the clone is there.
 *
 * @param work the jobs, of the seed's file, and the chunks they prove.
 * @param onFound told of chunks that are right. Of the others it proves nothing.
 * @throws what `onFound` throws.
 */
export async function verifySeed(
  pool: Pick<WorkerPool, 'runAll'>,
  seed: ClonedSeed,
  work: ReadonlyMap<VerifyJob, readonly DiskChunk[]>,
  onFound: (chunks: readonly DiskChunk[]) => Promise<void>,
): Promise<void> {
  let isOurs = false;
  await pool.runAll(
    [...work.keys()],
    async (job, { intact }) => {
      if (!intact || (await touched(seed.path)) !== seed.state) return;
      await onFound(work.get(job) ?? []).catch((error: unknown) => {
        isOurs = true;
        throw error;
      });
    },
    { survives: () => !isOurs },
  );
}

async function touched(path: string): Promise<string | undefined> {
  try {
    return (await fileState(path)).touched;
  } catch {
    return undefined;
  }
}

async function isReadable(path: string): Promise<boolean> {
  return access(path, constants.R_OK).then(
    () => true,
    () => false,
  );
}
