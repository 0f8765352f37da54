import { onDisk } from '../../fs/disk-error.ts';
import { fsyncDirectory, writeNewFile } from '../../fs/fsync.ts';
import { exists } from '../../fs/stats.ts';
import { removeEntry } from '../../fs/remove.ts';
import { readSmallFileIfThere } from '../../fs/small-file.ts';
import { OurFile, VmFile } from '../home-entry.ts';

/** Empty files in an image directory that say how it is to be treated. Tart knows the first, and ignores the others. */
export const MARK_FILES = {
  /** Pulled by digest: kept without a tag (tart-formats §1.5). */
  'explicitly-pulled': VmFile.explicitlyPulled,
  /** Never collected and never pruned until it is taken away. */
  pinned: OurFile.pinned,
  /** Lost its last tag by a command, not by an accident: the next collection may take it. */
  unnamed: OurFile.unnamed,
} as const;

export type ImageMark = keyof typeof MARK_FILES;

/** @throws TartletError `DISK_*` */
export async function hasMark(directory: string, mark: ImageMark): Promise<boolean> {
  return exists(`${directory}/${MARK_FILES[mark]}`);
}

/** Sets a mark durably. @returns false when it was there. @throws TartletError `DISK_*` */
export async function setMark(directory: string, mark: ImageMark): Promise<boolean> {
  if (await hasMark(directory, mark)) return false;
  await writeNewFile(`${directory}/${MARK_FILES[mark]}`, '');
  await fsyncDirectory(directory);
  return true;
}

/** Gives a directory that takes the place of another its mark, with what is in it, where it has one. */
export async function carryOver(from: string, to: string, mark: ImageMark): Promise<void> {
  const content = await readSmallFileIfThere(`${from}/${MARK_FILES[mark]}`);
  if (content === undefined || (await hasMark(to, mark))) return;
  await writeNewFile(`${to}/${MARK_FILES[mark]}`, content);
  await fsyncDirectory(to);
}

/** Takes a mark away durably. @returns false when there was none. @throws TartletError `DISK_*` */
export async function clearMark(directory: string, mark: ImageMark): Promise<boolean> {
  if (!(await hasMark(directory, mark))) return false;
  const file = `${directory}/${MARK_FILES[mark]}`;
  await onDisk('remove', file, async () => removeEntry(file));
  await fsyncDirectory(directory);
  return true;
}
