import { readdir, readlink, stat } from 'node:fs/promises';
import path from 'node:path';
import { systemCode } from '../errors.ts';
import { diskError, onDisk } from './disk-error.ts';
import { makeDirectory, removeEmptyDirectory } from './entry.ts';
import { fsyncAbove } from './fsync.ts';
import { exists } from './stats.ts';
import { trustedRealPath } from './trusted-path.ts';

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
export const PATH_TRIES = 3;

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
