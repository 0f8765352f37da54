import { rm } from 'node:fs/promises';
import { TartletError } from '../errors.ts';
import { exists, writeNewFile } from '../home/folder.ts';
import { Scratch } from '../home/scratch.ts';
import type { Staging } from '../home/staging.ts';
import { VmFile } from '../home/vm-folder.ts';
import { allChunks, type DiskChunk, type StackedImage, stackedFiles, type StoredDiskFile } from '../oci/tart-image.ts';
import { encodedBytes } from './disk-chunks.ts';
import { findDonor } from './disk-donor.ts';
import { type Download, explainKept, fetchVmFiles, requireSpace, withWorkers } from './download.ts';
import type { Session } from './session.ts';
import { bringFile } from './stored-file.ts';

/**
 * Names the files of an image as needed, before they come and until its record is published: whoever collects the content store sees
 * the staging folder, and Tart, which does not know our staging, a locked entry in `tmp/` (tart-formats §4.7 step 1).
 *
 * @returns what ends the second of the two.
 */
export async function announceContent(session: Session, image: StackedImage, staging: Staging): Promise<Scratch> {
  const scratch = await Scratch.create(session.home, session.platform);
  try {
    await session.contents.change(session.signal, async () => {
      await writeNewFile(`${scratch.folder}/${VmFile.manifest}`, image.manifest.bytes);
      await writeNewFile(staging.pathOf(VmFile.manifest), image.manifest.bytes);
    });
    return scratch;
  } catch (error) {
    await scratch.dispose();
    throw error;
  }
}

/**
 * Brings a stacked image: its base and overlays into the content store, each verified chunk by chunk and as a whole, and the rest
 * into a staging folder.
 *
 * @param staging undefined when the image's record is cached already and only files of the store are missing.
 * @returns bytes that crossed the network.
 * @throws TartletError with `kept` saying how much the next try can use.
 */
export async function downloadStacked(
  session: Session,
  download: Download<StackedImage>,
  staging: Staging | undefined,
): Promise<number> {
  const { image, name } = download;
  const subject = name.toString();
  let verified = 0;
  try {
    return await withWorkers(session, download, async (carrier) => {
      await announce(session, download, staging === undefined ? 0 : image.config.size + image.nvram.size);
      if (staging !== undefined) {
        // Left by whoever: with a disk in it, the folder would be another kind of image (tart-formats §4.7).
        await rm(staging.pathOf(VmFile.disk), { force: true });
        await fetchVmFiles(session, download, carrier, staging);
      }
      let first = 0;
      for (const [level, file] of stackedFiles(image).entries()) {
        const offset = first;
        await bringFile(session, carrier.pool, {
          file,
          what: level === 0 ? 'base' : `overlay ${level}`,
          subject,
          mayHaveDonor: level === 0,
          onChunk: (chunk: DiskChunk, how) => {
            verified += 1;
            const kind = how === 'fetched' ? 'chunk-done' : 'chunk-reused';
            session.emit({ kind, subject, index: offset + chunk.index, bytes: chunk.size });
          },
        });
        first += file.chunks.length;
      }
    });
  } catch (error) {
    throw explainKept(error, verified, allChunks(image).length);
  }
}

/** How much will be fetched is known only when no file was begun before, and none may be copied from here. */
async function announce(session: Session, { image, name }: Download<StackedImage>, vmFileBytes: number): Promise<void> {
  const files = stackedFiles(image);
  const missing = await session.contents.missing(files);
  const isCertain =
    !(await anyBegun(session, missing)) && !(missing.includes(image.base) && (await hasDonor(session, image.base)));
  const bytes = vmFileBytes + encodedBytes(missing.flatMap((file) => file.chunks));
  if (isCertain) await requireSpace(session, name, bytes);
  session.emit({
    kind: 'started',
    subject: name.toString(),
    direction: 'pull',
    bytesTotal: isCertain ? bytes : undefined,
    diskBytes: files.reduce((sum, file) => sum + file.size, 0),
    chunks: files.reduce((sum, file) => sum + file.chunks.length, 0),
  });
}

async function hasDonor(session: Session, base: StoredDiskFile): Promise<boolean> {
  const donor = await findDonor(session, base);
  await donor?.release();
  return donor !== undefined;
}

async function anyBegun(session: Session, files: readonly StoredDiskFile[]): Promise<boolean> {
  for (const file of files) if (await exists(session.contents.partialOf(file.fileDigest))) return true;
  return false;
}

/** The store names its files by SHA-256 and nothing else (tart-formats §4.3). @throws TartletError `MEDIA_UNSUPPORTED` */
export function requireStorable(image: StackedImage, subject: string): void {
  const foreign = stackedFiles(image).find((file) => file.fileDigest.algorithm !== 'sha256');
  if (foreign === undefined) return;
  throw new TartletError(
    'MEDIA_UNSUPPORTED',
    `${subject} names a disk file by ${foreign.fileDigest.algorithm}, stacked images must use sha256`,
    { subject, kept: 'nothing was changed', next: 'push the image again with Tart' },
  );
}

/** Who wants a VM of a stacked image is told what is possible with it here. */
export function notClonable(subject: string): TartletError {
  return new TartletError(
    'MEDIA_UNSUPPORTED',
    `${subject} is a stacked image: a VM of it needs an overlay of its own, which only macOS 27 can make`,
    {
      subject,
      kept: 'nothing was changed',
      next: 'clone it with Tart on macOS 27; here it can be pulled, listed, inspected, copied and pushed',
    },
  );
}
