import { isTartletError, TartletError } from '../errors.ts';
import { copyDisk } from '../fs/disk/disk-copy.ts';
import { onDisk } from '../fs/disk-error.ts';
import { exists } from '../fs/stats.ts';
import { removeEntry } from '../fs/remove.ts';
import type { StackedImage, StoredDiskFile } from '../oci/tart-image.ts';
import { buildDisk, hashesTo } from '../transfer/pull/disk-build.ts';
import { bringParts, type TransferContext } from '../transfer/pull/download.ts';
import type { PullTarget } from '../transfer/pull/pull-target.ts';
import type { Session } from '../session/session.ts';
import { storedTarget, PullPlanner } from '../transfer/pull/pull-planner.ts';
import type { WorkerPool } from '../chunks/worker-pool.ts';

/**
 * Repairs files of the content store that are damaged although they have their length: in a copy, of which only the
 * damaged chunks are fetched, and which takes the place of the file in one step after all of it was hashed. Until then,
 * and when it fails, the file stays as it is: a VM may run on top of it.
 *
 * @returns bytes that crossed the network.
 * @throws TartletError `NOT_FOUND` when the registry no longer has a chunk, and those of a pull.
 */
export async function repairContent(
  session: Session,
  target: PullTarget<StackedImage>,
  files: readonly StoredDiskFile[],
  context: TransferContext,
): Promise<number> {
  if (files.length === 0) return 0;
  const planner = await PullPlanner.prepare(session, target, 'lease');
  try {
    const how = { mode: 'exclusive', wait: true, signal: session.signal } as const;
    const { fetchedBytes } = await bringParts(session, target.name.toString(), context, 'in-turn', (pool) =>
      files.map(
        (file) => async () =>
          session.contents.whileBuilding(file.fileDigest, how, async () => repairFile(session, pool, planner, file)),
      ),
    );
    return fetchedBytes;
  } finally {
    await planner.release();
  }
}

/** Call while the file is being built by no other command. */
async function repairFile(
  session: Session,
  pool: WorkerPool,
  planner: PullPlanner,
  file: StoredDiskFile,
): Promise<void> {
  const { contents, signal } = session;
  const workplace = storedTarget(contents, file);
  const copy = workplace.path;
  try {
    if (!(await exists(copy))) await copyDisk(contents.pathOf(file.fileDigest), copy, session);
    const plan = await planner.planFile(file, workplace);
    await buildDisk(pool, { ...workplace, plan, onChunk: () => undefined, onMissing: () => undefined });
    const isIntact = async (at: string): Promise<boolean> => hashesTo(pool, at, file.size, file.fileDigest);
    if (!(await contents.install(copy, file, isIntact, 'replace'))) throw notWhole(file);
    await workplace.journal.remove();
  } catch (error) {
    // An interrupted copy may go on another time; one that cannot be finished is only in the way.
    if (!signal.aborted && isTartletError(error, 'NOT_FOUND', 'CHUNK_CORRUPT', 'DISK_FULL')) {
      await onDisk('remove', copy, async () => removeEntry(copy));
      await workplace.journal.remove();
    }
    throw error;
  }
}

function notWhole({ fileDigest }: StoredDiskFile): TartletError {
  return new TartletError('CHUNK_CORRUPT', `its chunks do not make the file ${fileDigest.toString()}`, {
    expected: fileDigest.toString(),
    next: { kind: 'push-again-unbroken' },
  });
}
