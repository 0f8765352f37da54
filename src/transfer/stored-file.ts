import { rm } from 'node:fs/promises';
import { TartletError } from '../errors.ts';
import { copyDisk } from '../home/disk-copy.ts';
import { onDisk } from '../home/disk-error.ts';
import { sizeDisk } from '../home/disk-size.ts';
import { exists } from '../home/folder.ts';
import type { DiskChunk, StoredDiskFile } from '../oci/tart-image.ts';
import { fetchChunks, hashesTo, intactChunks } from './disk-chunks.ts';
import { findDonor } from './disk-donor.ts';
import type { Session } from './session.ts';
import type { WorkerPool } from './worker-pool.ts';

/** A file of a stacked disk, to be brought into the content store. */
export interface WantedFile {
  readonly file: StoredDiskFile;
  /** `base` or `overlay 2`, for messages. */
  readonly what: string;
  /** The name of the image, for messages. */
  readonly subject: string;
  /** The base may be on this machine as the disk of a flat image. */
  readonly mayHaveDonor: boolean;
  /** A chunk is in its place: fetched just now, or found here. */
  readonly onChunk: (chunk: DiskChunk, how: 'fetched' | 'found') => void;
}

/**
 * Brings one file into the content store unless it is there: copied from a flat image with the same chunks, continued where an earlier pull
 * ended, or fetched. It appears only after all of it was hashed. Who wants a file that another command is bringing waits for it.
 *
 * @throws TartletError `CHUNK_CORRUPT` when the chunks are what the manifest says and the file is not, and those of {@link fetchChunks}.
 */
export async function bringFile(session: Session, pool: WorkerPool, wanted: WantedFile): Promise<void> {
  const { contents } = session;
  const { file } = wanted;
  const lock = await contents.lockFile(file.fileDigest, {
    mode: 'exclusive',
    wait: true,
    signal: session.signal,
    onWait: () =>
      session.emit({
        kind: 'waiting',
        subject: wanted.subject,
        reason: `another command is fetching the ${wanted.what}`,
      }),
  });
  try {
    if (await contents.holds(file)) {
      for (const chunk of file.chunks) wanted.onChunk(chunk, 'found');
    } else {
      await rebuild(session, pool, wanted);
    }
    await contents.touch(file.fileDigest, session.now());
  } finally {
    await lock?.release();
  }
}

async function rebuild(session: Session, pool: WorkerPool, wanted: WantedFile): Promise<void> {
  const { contents } = session;
  const { file } = wanted;
  const partial = contents.partialOf(file.fileDigest);
  const isIntact = async (path: string): Promise<boolean> => hashesTo(pool, path, file.size, file.fileDigest);
  if (wanted.mayHaveDonor && (await copyFromDonor(session, file, partial))) {
    if (await contents.install(partial, file, isIntact)) {
      for (const chunk of file.chunks) wanted.onChunk(chunk, 'found');
      return;
    }
  }
  const isBegun = await exists(partial);
  const fresh = await sizeDisk(partial, file.size);
  const intact = isBegun && !fresh ? await intactChunks(pool, partial, file.chunks) : new Set<DiskChunk>();
  for (const chunk of intact) wanted.onChunk(chunk, 'found');
  const missing = file.chunks.filter((chunk) => !intact.has(chunk));
  await fetchChunks(pool, { path: partial, fresh }, missing, (chunk) => wanted.onChunk(chunk, 'fetched'));
  if (await contents.install(partial, file, isIntact)) return;
  // Every chunk is what the manifest says, so nothing of it would be better another time.
  await onDisk('remove', partial, async () => rm(partial, { force: true }));
  throw new TartletError(
    'CHUNK_CORRUPT',
    `the chunks of the ${wanted.what} of ${wanted.subject} are what its manifest says, but not the file they make`,
    {
      subject: wanted.subject,
      expected: file.fileDigest.toString(),
      next: 'the image was broken when it was pushed: push it again',
    },
  );
}

/** @returns whether the disk of a flat image now lies there, not yet verified. */
async function copyFromDonor(session: Session, file: StoredDiskFile, partial: string): Promise<boolean> {
  const donor = await findDonor(session, file);
  if (donor === undefined) return false;
  try {
    await onDisk('remove', partial, async () => rm(partial, { force: true }));
    await copyDisk(donor.disk, partial, session);
    return true;
  } finally {
    await donor.release();
  }
}
