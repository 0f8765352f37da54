import { onDisk } from '../../fs/disk-error.ts';
import { fsyncDirectory, writeNewFile } from '../../fs/fsync.ts';
import { removeEntry } from '../../fs/remove.ts';
import { lstatIfThere } from '../../fs/stats.ts';
import { VmFile } from '../vm-directory.ts';

/**
 * Who (Tartlet, or Tart or the user) marked an image as pulled explicitly, so that Tart's collection keeps it without a
 * tag (tart-formats §1.5). Tart's mark is an empty file; ours has content, and so tells itself apart wherever the
 * directory goes. Tart asks only whether it is there.
 */
export type Mark = 'none' | 'ours' | 'theirs';

const CONTENT = 'migration\n';

/** The mark as the size of its file tells: Tart's has no bytes. */
export function markOfSize(bytes: number | undefined): Mark {
  if (bytes === undefined) return 'none';
  return bytes === 0 ? 'theirs' : 'ours';
}

/** @throws TartletError `DISK_*` */
async function readMark(directory: string): Promise<Mark> {
  return markOfSize((await lstatIfThere(`${directory}/${VmFile.explicitlyPulled}`))?.size);
}

/** Marks an image as ours to keep, durably, unless it has a mark. */
export async function protect(directory: string): Promise<void> {
  if ((await readMark(directory)) !== 'none') return;
  await writeNewFile(`${directory}/${VmFile.explicitlyPulled}`, CONTENT);
  await fsyncDirectory(directory);
}

/**
 * Gives an image the mark of a user who asked for it by its digest, in place of ours or of none: it then stays for
 * good.
 */
export async function markExplicitly(directory: string): Promise<void> {
  if ((await readMark(directory)) === 'theirs') return;
  await writeNewFile(`${directory}/${VmFile.explicitlyPulled}`, '');
  await fsyncDirectory(directory);
}

/** Takes our mark away; one that Tart or the user set stays. */
export async function unprotect(directory: string): Promise<void> {
  if ((await readMark(directory)) !== 'ours') return;
  const file = `${directory}/${VmFile.explicitlyPulled}`;
  await onDisk('remove', file, async () => removeEntry(file));
  await fsyncDirectory(directory);
}

/** Gives the directory that stays the mark of the one that goes: what the user wanted kept is kept. */
export async function carryMark(from: string, to: string): Promise<void> {
  const [theirs, ours] = [await readMark(from), await readMark(to)];
  if (theirs === 'none' || ours === 'theirs') return;
  await (theirs === 'ours' ? protect(to) : markExplicitly(to));
}
