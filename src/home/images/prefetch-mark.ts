import { onDisk } from '../../fs/disk-error.ts';
import { moveEntry } from '../../fs/entry.ts';
import { fsyncDirectory, writeNewFile } from '../../fs/fsync.ts';
import { removeEntry } from '../../fs/remove.ts';
import { readSmallFileIfThere } from '../../fs/small-file.ts';
import { MARK_FILES } from './image-mark.ts';

/*
 * An image that prefetch keeps has two marks: it is pinned, so that neither collection nor pruning takes it, and marked
 * as pulled by digest, so that Tart's own collection leaves it without a tag (tart-formats §1.5). Tart and Tartlet ask
 * only whether they are there; their content says that they are of prefetch, which takes away no others.
 */

const CONTENT = 'prefetch\n';
const MARKS = ['pinned', 'explicitly-pulled'] as const;
/** A mark of another kind has at most a word in it. */
const MAX_BYTES = 1024;

/** Keeps an image for prefetch, durably. What the user has pinned, or pulled by its digest, stays the user's. */
export async function keepForPrefetch(directory: string): Promise<void> {
  for (const mark of MARKS) {
    const file = `${directory}/${MARK_FILES[mark]}`;
    if ((await readSmallFileIfThere(file, MAX_BYTES)) !== undefined) continue;
    // In one step: a mark without content would be the user's, and nothing took it away any more.
    await writeNewFile(`${file}.new`, CONTENT);
    await onDisk('move into place', file, async () => moveEntry(`${file}.new`, file));
  }
  await fsyncDirectory(directory);
}

/** Whether prefetch keeps an image, by either mark: a kill may have come between the two. */
export async function isKeptForPrefetch(directory: string): Promise<boolean> {
  for (const mark of MARKS) if (await isOurs(`${directory}/${MARK_FILES[mark]}`)) return true;
  return false;
}

/** Whether the pin of an image is that of prefetch, and not the user's. */
export async function isPinnedByPrefetch(directory: string): Promise<boolean> {
  return isOurs(`${directory}/${MARK_FILES.pinned}`);
}

/** Takes the marks of prefetch away, durably. */
export async function releaseFromPrefetch(directory: string): Promise<void> {
  for (const mark of MARKS) {
    const file = `${directory}/${MARK_FILES[mark]}`;
    if (await isOurs(file)) await onDisk('remove', file, async () => removeEntry(file));
  }
  await fsyncDirectory(directory);
}

async function isOurs(file: string): Promise<boolean> {
  return (await readSmallFileIfThere(file, MAX_BYTES))?.toString() === CONTENT;
}
