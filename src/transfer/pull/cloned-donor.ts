import { access, constants } from 'node:fs/promises';
import { fileState } from '../../fs/file-state.ts';
import type { DiskChunk } from '../../oci/tart-image.ts';
import type { VerifyJob } from '../../chunks/chunk-job.ts';
import type { Donor } from '../../session/plan-summary.ts';
import type { WorkerPool } from '../../chunks/worker-pool.ts';

/** A donor as it was before it was cloned. */
export interface ClonedDonor {
  readonly path: string;
  /** See `FileState.touched`. */
  readonly state: string;
}

/**
 * Looks at a donor that is about to be cloned.
 * @returns `gone` when nothing can be read or cloned; undefined for a VM: it may be started at any time, so that only
 * its clone tells what was cloned.
 */
export async function beforeCloning({ path, kind }: Donor): Promise<ClonedDonor | 'gone' | undefined> {
  const state = await touched(path);
  if (state === undefined || !(await isReadable(path))) return 'gone';
  return kind === 'vm' ? undefined : { path, state };
}

/**
 * Hashes a donor in the place of its clone: the blocks are the same, but what is in memory of the donor need not come from the disk
 * (measured: that was a third of a delta pull on XFS, and more than half on Btrfs). It counts only while the donor is what was cloned, to the nanosecond of its last change;
 * nothing that is wrong with it is an error, because the clone is there.
 *
 * @param work the jobs, of the donor's file, and the chunks they prove.
 * @param onFound told of chunks that are right. Of the others it proves nothing.
 * @throws what `onFound` throws.
 */
export async function verifyDonor(
  pool: Pick<WorkerPool, 'runAll'>,
  donor: ClonedDonor,
  work: ReadonlyMap<VerifyJob, readonly DiskChunk[]>,
  onFound: (chunks: readonly DiskChunk[]) => Promise<void>,
): Promise<void> {
  let isOurs = false;
  await pool.runAll(
    [...work.keys()],
    async (job, { intact }) => {
      if (!intact || (await touched(donor.path)) !== donor.state) return;
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
