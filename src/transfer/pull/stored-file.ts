import { TartletError } from '../../errors.ts';
import { onDisk } from '../../fs/disk-error.ts';
import { removeEntry } from '../../fs/remove.ts';
import type { StoredDiskFile } from '../../oci/tart-image.ts';
import { buildDisk, type DiskBuild, hashesTo } from './disk-build.ts';
import type { Session } from '../../session/session.ts';
import { storedTarget, type PullPlanner } from './pull-planner.ts';
import type { WorkerPool } from '../../chunks/worker-pool.ts';

/** A file of a stacked disk, to be brought into the content store. */
export interface WantedFile extends Pick<DiskBuild, 'onChunk' | 'onUnderWay' | 'onMissing' | 'room' | 'offers'> {
  readonly file: StoredDiskFile;
  /** `base` or `overlay 2`, for messages. */
  readonly what: string;
  /** The name of the image, for messages. */
  readonly subject: string;
}

/**
 * Brings one file into the content store unless it is there. It appears only after all of it was hashed. A caller that
 * wants a file that another command is bringing waits for it.
 *
 * @throws TartletError `CHUNK_CORRUPT` when the chunks are what the manifest says and the file is not, and those of
 * {@link buildDisk}.
 */
export async function bringFile(
  session: Session,
  pool: WorkerPool,
  planner: PullPlanner,
  wanted: WantedFile,
): Promise<void> {
  const { contents } = session;
  const { file } = wanted;
  const reason = `another command is fetching the ${wanted.what}`;
  const onWait = (): void => session.emit({ kind: 'waiting', subject: wanted.subject, reason });
  const how = { mode: 'exclusive', wait: true, signal: session.signal, onWait } as const;
  await contents.whileBuilding(file.fileDigest, how, async () => {
    if (await contents.holds(file)) {
      for (const chunk of file.chunks) wanted.onChunk(chunk, 'found-content');
    } else {
      await rebuild(session, pool, planner, wanted);
    }
    await contents.touch(file.fileDigest, session.now());
  });
}

async function rebuild(session: Session, pool: WorkerPool, planner: PullPlanner, wanted: WantedFile): Promise<void> {
  const { contents } = session;
  const { file } = wanted;
  const workplace = storedTarget(contents, file);
  const { path, journal } = workplace;
  await buildDisk(pool, { ...wanted, ...workplace, plan: await planner.planFile(file, workplace) });
  const isIntact = async (): Promise<boolean> => hashesTo(pool, path, file.size, file.fileDigest);
  if (await contents.install(path, file, isIntact)) {
    await journal.remove();
    return;
  }
  // Every chunk is what the manifest says, so nothing of it would be better another time.
  await onDisk('remove', path, async () => removeEntry(path));
  await journal.remove();
  throw new TartletError(
    'CHUNK_CORRUPT',
    `the chunks of the ${wanted.what} of ${wanted.subject} are what its manifest says, but not the file they make`,
    {
      subject: wanted.subject,
      expected: file.fileDigest.toString(),
      next: { kind: 'push-again-unbroken' },
    },
  );
}
