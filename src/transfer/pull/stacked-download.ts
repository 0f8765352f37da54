import { TartletError } from '../../errors.ts';
import { writeNewFile } from '../../fs/fsync.ts';
import { removeEntry } from '../../fs/remove.ts';
import { Scratch } from '../../home/scratch.ts';
import type { Staging } from '../../home/staging.ts';
import { VmFile } from '../../home/vm-directory.ts';
import { allChunks, type StackedImage, stackedFiles } from '../../oci/tart-image.ts';
import type { FetchRoute } from '../../chunks/blob-file.ts';
import type { WorkerPool } from '../../chunks/worker-pool.ts';
import {
  bringParts,
  explainKept,
  fetchVmFiles,
  orderOfParts,
  type PreparedPull,
  type Transferred,
} from './download.ts';
import type { Session } from '../../session/session.ts';
import { bringFile } from './stored-file.ts';

/**
 * Names the files of an image as needed, before they come and until its record is published: a collection of the
 * content store by Tartlet sees the staging directory, one by Tart, which does not know our staging, a locked entry in
 * `tmp/` (tart-formats §4.7 step 1).
 *
 * @returns what ends the second of the two.
 */
export async function announceContent(session: Session, image: StackedImage, staging: Staging): Promise<Scratch> {
  const scratch = await Scratch.create(session.home, session.platform);
  try {
    await session.contents.change(session.signal, async () => {
      await writeNewFile(`${scratch.directory}/${VmFile.manifest}`, image.manifest.bytes);
      await writeNewFile(staging.pathOf(VmFile.manifest), image.manifest.bytes);
    });
    return scratch;
  } catch (error) {
    await scratch.dispose();
    throw error;
  }
}

/**
 * Brings a stacked image: its base and overlays into the content store, each verified chunk by chunk and as a whole,
 * and the rest into a staging directory.
 *
 * @param staging undefined when the image's record is cached already and only files of the store are missing.
 * @throws TartletError with `kept` saying how much the next try can use.
 */
export async function downloadStacked(
  session: Session,
  image: StackedImage,
  { subject, planner, room, report, context }: PreparedPull,
  staging: Staging | undefined,
): Promise<Transferred> {
  const vmFiles = async (route: FetchRoute): Promise<void> => {
    if (staging === undefined) return;
    // A disk in it would make the directory another kind of image (tart-formats §4.7).
    await removeEntry(staging.pathOf(VmFile.disk));
    await fetchVmFiles(route, image, staging);
  };
  const disks = async (pool: WorkerPool): Promise<void> => {
    let first = 0;
    for (const [level, file] of stackedFiles(image).entries()) {
      const what = level === 0 ? 'base' : `overlay ${level}`;
      await bringFile(session, pool, planner, {
        file,
        what,
        subject,
        room,
        offers: context.offers,
        ...report.forFile(first),
      });
      first += file.chunks.length;
    }
  };
  try {
    return await bringParts(session, subject, context, orderOfParts(room), (pool, route) => [
      async () => vmFiles(route),
      async () => disks(pool),
    ]);
  } catch (error) {
    throw explainKept(error, report.verified, allChunks(image).length);
  }
}

/**
 * The store names its files by SHA-256 and nothing else (tart-formats §4.3). @throws TartletError `MEDIA_UNSUPPORTED`
 */
export function requireStorable(image: StackedImage, subject: string): void {
  const foreign = stackedFiles(image).find((file) => file.fileDigest.algorithm !== 'sha256');
  if (foreign === undefined) return;
  throw new TartletError(
    'MEDIA_UNSUPPORTED',
    `${subject} names a disk file by ${foreign.fileDigest.algorithm}, stacked images must use sha256`,
    { subject, kept: 'nothing was changed', next: { kind: 'push-again-with-tart' } },
  );
}

/** Tells the user what is possible here with a VM of a stacked image. */
export function notClonable(subject: string): TartletError {
  return new TartletError(
    'MEDIA_UNSUPPORTED',
    `${subject} is a stacked image: a VM of it needs an overlay of its own, which only macOS 27 can make`,
    {
      subject,
      kept: 'nothing was changed',
      next: { kind: 'clone-with-tart' },
    },
  );
}
