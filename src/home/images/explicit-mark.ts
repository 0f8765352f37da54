import { onDisk } from '../../fs/disk-error.ts';
import { flushFolder, writeNewFile } from '../../fs/fsync.ts';
import { removeEntry } from '../../fs/remove.ts';
import { lstatIfThere } from '../../fs/stats.ts';
import { VmFile } from '../vm-folder.ts';

/**
 * Who marked an image as pulled explicitly, so that Tart's collection keeps it without a tag (tart-formats §1.5). Tart's mark is an empty file;
 * ours has content, and so tells itself apart wherever the folder goes. Tart asks only whether it is there.
 */
export type Mark = 'none' | 'ours' | 'theirs';

const CONTENT = 'migration\n';

/** The mark as the size of its file tells: Tart's has no bytes. */
export function markOfSize(bytes: number | undefined): Mark {
  if (bytes === undefined) return 'none';
  return bytes === 0 ? 'theirs' : 'ours';
}

/** @throws TartletError `DISK_*` */
async function readMark(folder: string): Promise<Mark> {
  return markOfSize((await lstatIfThere(`${folder}/${VmFile.explicitlyPulled}`))?.size);
}

/** Marks an image as ours to keep, durably, unless it has a mark. */
export async function protect(folder: string): Promise<void> {
  if ((await readMark(folder)) !== 'none') return;
  await writeNewFile(`${folder}/${VmFile.explicitlyPulled}`, CONTENT);
  await flushFolder(folder);
}

/** Makes a mark of ours, or none, the mark of somebody who asked for the image by its digest: it then stays for good. */
export async function markExplicitly(folder: string): Promise<void> {
  if ((await readMark(folder)) === 'theirs') return;
  await writeNewFile(`${folder}/${VmFile.explicitlyPulled}`, '');
  await flushFolder(folder);
}

/** Takes our mark away; one that Tart or the user set stays. */
export async function unprotect(folder: string): Promise<void> {
  if ((await readMark(folder)) !== 'ours') return;
  const file = `${folder}/${VmFile.explicitlyPulled}`;
  await onDisk('remove', file, async () => removeEntry(file));
  await flushFolder(folder);
}

/** Gives the folder that stays the mark of the one that goes: what the user wanted kept is kept. */
export async function carryMark(from: string, to: string): Promise<void> {
  const [theirs, ours] = [await readMark(from), await readMark(to)];
  if (theirs === 'none' || ours === 'theirs') return;
  await (theirs === 'ours' ? protect(to) : markExplicitly(to));
}
