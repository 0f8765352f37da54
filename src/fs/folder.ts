import { randomUUID } from 'node:crypto';
import { lstat, readdir, readlink, stat } from 'node:fs/promises';
import path from 'node:path';
import { isTartletError, systemCode, TartletError } from '../errors.ts';
import { openDirectory } from './directory.ts';
import { diskError, onDisk } from './disk-error.ts';
import { createFile, exchangeEntries, makeDirectory, moveEntry, removeEmptyDirectory } from './entry.ts';
import { openPlainFile } from './plain-file.ts';
import { removeEntry } from './remove.ts';
import { shareFiles } from './sharing.ts';
import { trustedRealPath } from './trusted-path.ts';

/*
 * The one way to change the home: written beside, flushed, renamed into place, the folder flushed. Whoever is killed in between
 * leaves the old thing or the new one, and at most a scratch entry (reliability §4.1). Links change the same way, in `link.ts`.
 */

/**
 * Creates a folder and its parents; where a link points to a folder that is missing, that folder (tart-cli §6.1). A power cut may take it:
 * for scratch and locks, and for who publishes in it by a function that ends with {@link flushUpTo}.
 *
 * @returns the directories that were made, the outermost first.
 */
export async function makeFolder(folder: string): Promise<readonly string[]> {
  try {
    return await makePath(folder);
  } catch (cause) {
    const target = await danglingTarget(folder);
    if (target === undefined) throw diskError(cause, 'create the folder', folder);
    refuseForeignLink(folder);
    return onDisk('create the folder', target, async () => makePath(target));
  }
}

/** {@link makeFolder}, and what was made is there after a power cut: each new directory is an entry of the one above it, which is fsynced. */
export async function makeDurableDirectory(directory: string): Promise<void> {
  for (const made of await makeFolder(directory)) await fsyncAbove(path.dirname(made));
}

/**
 * The same in a home: what is made in it later must not lie where a link of another user leads.
 * @throws TartletError `STORE_DAMAGED` for such a link
 */
export async function makeTrustedFolder(folder: string): Promise<void> {
  await makeDurableDirectory(folder);
  trustedRealPath(folder);
}

/**
 * Makes a folder and what is missing above it, one by one. Node's recursive `mkdir` never comes back where the system says ENOENT below a folder
 * that exists (`/proc/x`), and says ENOENT for a file system that is read-only.
 *
 * @param mode of the folders that are made. Default: the system's.
 * @returns the directories that were made, the outermost first.
 * @throws whatever the system says, as it says it.
 */
export async function makePath(folder: string, mode?: number): Promise<readonly string[]> {
  return makePathIn(PATH_TRIES, folder, mode);
}

/** Others may make a folder above, or remove it because it is empty, between two steps of ours. */
const PATH_TRIES = 3;

async function makePathIn(tries: number, folder: string, mode: number | undefined): Promise<readonly string[]> {
  try {
    if (await isFolder(folder)) return [];
    await makeDirectory(folder, mode);
    return [folder];
  } catch (cause) {
    const code = systemCode(cause);
    if (code === 'EEXIST' && (await isFolder(folder))) return [];
    const parent = path.dirname(folder);
    if (code !== 'ENOENT' || parent === folder || tries === 0) throw cause;
    const above = (await exists(parent)) ? [] : await makePath(parent, mode);
    return [...above, ...(await makePathIn(tries - 1, folder, mode))];
  }
}

async function isFolder(place: string): Promise<boolean> {
  try {
    return (await stat(place)).isDirectory();
  } catch {
    return false; // A link to nothing, for example: it is in the way.
  }
}

async function danglingTarget(link: string): Promise<string | undefined> {
  try {
    return path.resolve(path.dirname(link), await readlink(link));
  } catch {
    return undefined; // Not a link: the first error tells what is wrong.
  }
}

/** @throws TartletError `STORE_DAMAGED` when a link to nothing is not one that counts */
function refuseForeignLink(link: string): void {
  try {
    trustedRealPath(link);
  } catch (cause) {
    if (systemCode(cause) !== 'ENOENT') throw diskError(cause, 'follow', link);
  }
}

/** Removes a folder in which nothing is, at any depth, but folders. @returns false when something is in it, or it is not ours to remove. */
export async function removeEmptyTree(folder: string): Promise<boolean> {
  try {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (!entry.isDirectory() || !(await removeEmptyTree(`${folder}/${entry.name}`))) return false;
    }
    await removeEmptyDirectory(folder);
    return true;
  } catch (cause) {
    // Somebody put something in it, removed it, or does not let us.
    return systemCode(cause) === 'ENOENT';
  }
}

/** Makes a rename, a creation or a removal in a folder durable. Some file systems cannot flush a folder (reliability D20). */
export async function flushFolder(folder: string): Promise<void> {
  await onDisk('flush the folder', folder, async () => fsyncDirectory(folder));
}

/**
 * {@link flushFolder} of a directory in which something was removed or replaced, that another command may remove once it
 * is empty: then what was in it is gone as well, and the fsync of the next directory above makes that lasting.
 */
export async function flushRemoval(directory: string): Promise<void> {
  for (let at = directory; ; at = path.dirname(at)) {
    try {
      return await flushFolder(at);
    } catch (error) {
      if (!isGone(error) || at === path.dirname(at)) throw error;
    }
  }
}

/** Whether a directory was removed meanwhile, or something else is in its place. */
function isGone(error: unknown): boolean {
  return error instanceof Error && ['ENOENT', 'ENOTDIR'].includes(systemCode(error.cause) ?? '');
}

/** {@link flushFolder} that fails as the system says it. */
export async function fsyncDirectory(directory: string): Promise<void> {
  const handle = await openDirectory(directory);
  try {
    await handle.sync();
  } catch (cause) {
    if (!['EINVAL', 'ENOTSUP', 'EISDIR', 'EPERM'].includes(systemCode(cause) ?? '')) throw cause;
  } finally {
    await handle.close();
  }
}

/**
 * Fsyncs a directory in which something was published, and every one above it up to the one in which `top` lies. Any of them may be new: made
 * by this command, by another one that has not come to its fsync yet, or by one that was killed before. Of a directory that did not change
 * an fsync takes less than 0.1 ms.
 *
 * @param top the home's root or the like: what is above it is not ours.
 */
export async function flushUpTo(directory: string, top: string): Promise<void> {
  await flushFolder(directory);
  for (let at = directory; ; at = path.dirname(at)) {
    const parent = path.dirname(at);
    if (parent === at) return;
    await fsyncAbove(parent);
    if (at === top) return;
  }
}

/** What says that nothing of ours is new in a directory above, or that there is no way to make it lasting (reliability D20). */
const NOT_FSYNCED = ['DISK_DENIED', 'DISK_READONLY', 'DISK_UNSUPPORTED'] as const;

/** A directory above may be another user's, whom we may pass and not read; or it went, and what was in it. */
async function fsyncAbove(directory: string): Promise<void> {
  try {
    await flushFolder(directory);
  } catch (error) {
    if (!isGone(error) && !isTartletError(error, ...NOT_FSYNCED)) throw error;
  }
}

/** Flushes a finished file. A failure is final for the file: the kernel may already have dropped the pages (reliability D9). */
export async function flushFile(file: string): Promise<void> {
  await onDisk('flush', file, async () => {
    const handle = await openPlainFile(file, 'write');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}

/** Writes a new file and flushes it; nothing is written through a link. @param mode of the file. Default: the system's. */
export async function writeNewFile(file: string, bytes: Uint8Array | string, mode?: number): Promise<void> {
  await onDisk('write', file, async () => {
    const handle = await createFile(file, 'empty', mode);
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}

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

/** Names of what is being removed, and of links on their way: whoever finds a folder of this name may go on with its removal. */
export const TRASH: RegExp = /^trash-[0-9a-f-]{36}$/;

/**
 * Removes a folder so that a kill leaves it whole or gone: first renamed out of sight, then deleted. Where it cannot be renamed, because
 * the disk is full or the trash lies on another one, it is deleted in its place (reliability D29).
 * @param trash a folder on the same file system.
 * @param first the entry that makes the folder what it is: where it is deleted in its place, that one goes before the others, so that
 * a kill leaves no half image that looks like a whole one.
 */
export async function removeFolder(folder: string, trash: string, first: string): Promise<void> {
  const doomed = `${trash}/trash-${randomUUID()}`;
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

/** Whether anything is at a path, a dangling link included. */
export async function exists(file: string): Promise<boolean> {
  try {
    await lstat(file);
    return true;
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(cause) ?? '')) return false;
    throw diskError(cause, 'look at', file);
  }
}
