import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { isTartletError, systemCode, TartletError } from '../errors.ts';
import { makeFolder, PATH_TRIES } from './directory-tree.ts';
import { onDisk } from './disk-error.ts';
import { exchangeEntries, moveEntry } from './entry.ts';
import { flushFolder, flushRemoval, flushUpTo } from './fsync.ts';
import { removeEntry } from './remove.ts';
import { shareFiles } from './sharing.ts';
import { exists } from './stats.ts';

/**
 * Moves a finished folder to its place, where nothing may be. Its files must have been flushed.
 * @param top the home's root, up to which the new place is made lasting ({@link flushUpTo}).
 * @throws TartletError `BUSY` when something is there: `rename` alone would swallow an empty folder (reliability D24).
 */
export async function publishFolder(from: string, to: string, top: string): Promise<void> {
  await onDisk('share', from, async () => shareFiles(from));
  await flushFolder(from);
  await onDisk('move into place', to, async () => publishIn(PATH_TRIES, from, to));
  await flushUpTo(path.dirname(to), top);
}

/** Whoever deletes the last image of a repository takes the empty folder away, too, between two steps of ours. */
async function publishIn(tries: number, from: string, to: string): Promise<void> {
  await makeFolder(path.dirname(to));
  if (await exists(to))
    throw new TartletError('BUSY', `${to} came into being meanwhile`, { subject: to, retryable: true });
  try {
    await moveEntry(from, to);
  } catch (cause) {
    if (systemCode(cause) !== 'ENOENT' || tries === 0 || (await exists(path.dirname(to)))) throw cause;
    await publishIn(tries - 1, from, to);
  }
}

/**
 * Puts a finished folder where another one is, and leaves the other one at `from`: atomically where the system can exchange
 * two paths, otherwise by two renames.
 * @param top as for {@link publishFolder}.
 */
export async function exchangeFolders(from: string, to: string, top: string): Promise<void> {
  await onDisk('share', from, async () => shareFiles(from));
  await flushFolder(from);
  if (!(await exchangeEntries(from, to))) {
    // By a name that nobody who cleans up takes for a leftover: until the second rename it is the only one there is.
    const aside = `${path.dirname(from)}/replaced-${path.basename(from)}`;
    await onDisk('move aside', to, async () => moveEntry(to, aside));
    await onDisk('move into place', to, async () => moveEntry(from, to));
    await onDisk('move aside', aside, async () => moveEntry(aside, from));
  }
  await flushUpTo(path.dirname(to), top);
}

/** A new name for what is being removed, and for links on their way. */
export function trashName(): string {
  return `trash-${randomUUID()}`;
}

/** Names by {@link trashName}: a command that finds one may go on with the removal. */
export const TRASH: RegExp = /^trash-[0-9a-f-]{36}$/;

/**
 * Removes a folder so that a kill leaves it whole or gone: first renamed out of sight, then deleted. Where it cannot be renamed, because
 * the disk is full or the trash lies on another one, it is deleted in its place (reliability D29).
 * @param trash a folder on the same file system.
 * @param first the entry that makes the folder what it is: where it is deleted in its place, that one goes before the others, so that
 * a kill leaves no half image that looks like a whole one.
 */
export async function removeFolder(folder: string, trash: string, first: string): Promise<void> {
  const doomed = `${trash}/${trashName()}`;
  try {
    await makeFolder(trash);
    await onDisk('remove', folder, async () => moveEntry(folder, doomed));
  } catch (error) {
    const inPlace =
      isTartletError(error, 'DISK_FULL') || (error instanceof Error && systemCode(error.cause) === 'EXDEV');
    if (!inPlace) throw error;
    await onDisk('remove', folder, async () => {
      await removeEntry(`${folder}/${first}`);
      await removeEntry(folder);
    });
    await flushRemoval(path.dirname(folder));
    return;
  }
  await flushRemoval(path.dirname(folder));
  await flushRemoval(trash);
  await onDisk('remove', doomed, async () => removeEntry(doomed));
}
