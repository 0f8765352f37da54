import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { isTartletError, systemCode, TartletError } from '../errors.ts';
import { makeDirectoryTree, PATH_TRIES } from './directory-tree.ts';
import { onDisk } from './disk-error.ts';
import { exchangeEntries, moveEntry } from './entry.ts';
import { fsyncDirectory, fsyncRemoval, fsyncUpTo } from './fsync.ts';
import { removeEntry } from './remove.ts';
import { shareFiles } from './sharing.ts';
import { exists } from './stats.ts';

/**
 * Moves a finished directory to its place, where nothing may be. Its files must have been fsynced.
 * @param top the home's root, up to which the new place is made lasting ({@link fsyncUpTo}).
 * @throws TartletError `BUSY` when something is there: `rename` alone would swallow an empty directory (reliability
 * D24).
 */
export async function publishDirectory(from: string, to: string, top: string): Promise<void> {
  await onDisk('share', from, async () => shareFiles(from));
  await fsyncDirectory(from);
  await onDisk('move into place', to, async () => publishIn(PATH_TRIES, from, to));
  await fsyncUpTo(path.dirname(to), top);
}

/**
 * A process that deletes the last image of a repository also removes the empty directory, maybe between two steps here.
 */
async function publishIn(tries: number, from: string, to: string): Promise<void> {
  await makeDirectoryTree(path.dirname(to));
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
 * Puts a finished directory where another one is, and leaves the other one at `from`: atomically where the system can
 * exchange two paths, otherwise by two renames.
 * @param top as for {@link publishDirectory}.
 */
export async function exchangeDirectories(from: string, to: string, top: string): Promise<void> {
  await onDisk('share', from, async () => shareFiles(from));
  await fsyncDirectory(from);
  if (!(await exchangeEntries(from, to))) {
    // By a name that no sweep takes for a leftover: until the second rename it is the only one there is.
    const aside = `${path.dirname(from)}/replaced-${path.basename(from)}`;
    await onDisk('move aside', to, async () => moveEntry(to, aside));
    await onDisk('move into place', to, async () => moveEntry(from, to));
    await onDisk('move aside', aside, async () => moveEntry(aside, from));
  }
  await fsyncUpTo(path.dirname(to), top);
}

/** A new name in the directory of removals: for what is being removed, and for symlinks on their way. */
export function removalName(): string {
  return `trash-${randomUUID()}`;
}

/** Names by {@link removalName}: a command that finds one may go on with the removal. */
export const REMOVAL_NAME: RegExp = /^trash-[0-9a-f-]{36}$/;

/**
 * Removes a directory so that a kill leaves it whole or gone: first renamed out of sight, then deleted. Where it cannot
 * be renamed, because the disk is full or `removals` is on another one, it is deleted in its place (reliability D29).
 * @param removals the directory of removals, on the same file system.
 * @param first the entry that makes the directory what it is: where it is deleted in its place, that one goes before
 * the others, so that a kill leaves no half image that looks like a whole one.
 */
export async function removeDirectory(directory: string, removals: string, first: string): Promise<void> {
  const doomed = `${removals}/${removalName()}`;
  try {
    await makeDirectoryTree(removals);
    await onDisk('remove', directory, async () => moveEntry(directory, doomed));
  } catch (error) {
    const inPlace =
      isTartletError(error, 'DISK_FULL') || (error instanceof Error && systemCode(error.cause) === 'EXDEV');
    if (!inPlace) throw error;
    await onDisk('remove', directory, async () => {
      await removeEntry(`${directory}/${first}`);
      await removeEntry(directory);
    });
    await fsyncRemoval(path.dirname(directory));
    return;
  }
  await fsyncRemoval(path.dirname(directory));
  await fsyncRemoval(removals);
  await onDisk('remove', doomed, async () => removeEntry(doomed));
}
