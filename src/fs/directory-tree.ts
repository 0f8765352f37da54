import { readdir, readlink, stat } from 'node:fs/promises';
import path from 'node:path';
import { systemCode } from '../errors.ts';
import { diskError, onDisk } from './disk-error.ts';
import { makeDirectory, removeEmptyDirectory } from './entry.ts';
import { fsyncAbove } from './fsync.ts';
import { exists } from './stats.ts';
import { trustedRealPath } from './trusted-path.ts';

/**
 * Creates a directory and its parents; where a symlink points to a directory that is missing, that directory (tart-cli
 * §6.1). A power cut may take it: for scratch and locks, and for callers that publish in it by a function that ends
 * with {@link fsyncUpTo}.
 *
 * @returns the directories that were made, the outermost first.
 */
export async function makeDirectoryTree(directory: string): Promise<readonly string[]> {
  try {
    return await makePath(directory);
  } catch (cause) {
    const target = await danglingTarget(directory);
    if (target === undefined) throw diskError(cause, 'create the directory', directory);
    refuseForeignLink(directory);
    return onDisk('create the directory', target, async () => makePath(target));
  }
}

/**
 * {@link makeDirectoryTree}, and what was made is there after a power cut: each new directory is an entry of the one
 * above it, which is fsynced.
 */
export async function makeDurableDirectory(directory: string): Promise<void> {
  for (const made of await makeDirectoryTree(directory)) await fsyncAbove(path.dirname(made));
}

/**
 * The same in a home: what is made in it later must not lie where a symlink of another user leads.
 * @throws TartletError `STORE_DAMAGED` for such a symlink
 */
export async function makeTrustedDirectory(directory: string): Promise<void> {
  await makeDurableDirectory(directory);
  trustedRealPath(directory);
}

/**
 * Makes a directory and what is missing above it, one by one. Node's recursive `mkdir` never comes back where the
 * system says ENOENT below a directory that exists (`/proc/x`), and says ENOENT for a file system that is read-only.
 *
 * @param mode of the directories that are made. Default: the system's.
 * @returns the directories that were made, the outermost first.
 * @throws whatever the system says, as it says it.
 */
export async function makePath(directory: string, mode?: number): Promise<readonly string[]> {
  return makePathIn(PATH_TRIES, directory, mode);
}

/** Others may make a directory above, or remove it because it is empty, between two steps of ours. */
export const PATH_TRIES = 3;

async function makePathIn(tries: number, directory: string, mode: number | undefined): Promise<readonly string[]> {
  try {
    if (await isDirectory(directory)) return [];
    await makeDirectory(directory, mode);
    return [directory];
  } catch (cause) {
    const code = systemCode(cause);
    if (code === 'EEXIST' && (await isDirectory(directory))) return [];
    const parent = path.dirname(directory);
    if (code !== 'ENOENT' || parent === directory || tries === 0) throw cause;
    const above = (await exists(parent)) ? [] : await makePath(parent, mode);
    return [...above, ...(await makePathIn(tries - 1, directory, mode))];
  }
}

async function isDirectory(place: string): Promise<boolean> {
  try {
    return (await stat(place)).isDirectory();
  } catch {
    return false; // A symlink to nothing, for example: it is in the way.
  }
}

async function danglingTarget(link: string): Promise<string | undefined> {
  try {
    return path.resolve(path.dirname(link), await readlink(link));
  } catch {
    return undefined; // Not a symlink: the first error tells what is wrong.
  }
}

/** @throws TartletError `STORE_DAMAGED` when a symlink to nothing is not one that counts */
function refuseForeignLink(link: string): void {
  try {
    trustedRealPath(link);
  } catch (cause) {
    if (systemCode(cause) !== 'ENOENT') throw diskError(cause, 'follow', link);
  }
}

/**
 * Removes a directory in which nothing is, at any depth, but directories. @returns false when something is in it, or it
 * is not ours to remove.
 */
export async function removeEmptyTree(directory: string): Promise<boolean> {
  try {
    for (const entry of await readdir(directory, { withFileTypes: true })) {
      if (!entry.isDirectory() || !(await removeEmptyTree(`${directory}/${entry.name}`))) return false;
    }
    await removeEmptyDirectory(directory);
    return true;
  } catch (cause) {
    // Another process put something in it or removed it, or its permissions do not let us.
    return systemCode(cause) === 'ENOENT';
  }
}
