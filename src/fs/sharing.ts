import { lstat, readdir, stat } from 'node:fs/promises';
import { openPlainFile } from './plain-file.ts';
import { statIfThereSync } from './stats.ts';

/*
 * Several users share a home when the group of its directory may write to it, as with git's core.sharedRepository: that
 * directory decides, and what is made in the home may be read and written by the group. The group itself is inherited
 * (on Linux where the directory has the setgid bit).
 */

const GROUP_MAY_WRITE = 0o020;

/** What a group may do with a file that it shares. */
const SHARED_FILE = 0o060;

/** What a umask must not take away where a group shares a home. */
export const SHARED_UMASK = 0o070;

/**
 * Whether a group shares what is in a home; false for one that is not there yet. Synchronous: asked once, before
 * anything else.
 */
export function isShared(root: string): boolean {
  try {
    return ((statIfThereSync(root)?.mode ?? 0) & GROUP_MAY_WRITE) !== 0;
  } catch {
    return false; // What is wrong with it is found by the work there.
  }
}

/**
 * The mode of a file in a directory that does not just follow the umask: what it is for its owner and others, and for a
 * group that shares the directory what that needs. A record that counts only where no other user may write to it is not
 * believed in such a directory, and is shared as all else is.
 *
 * @throws the system's own error
 */
export async function modeIn(directory: string, mode: number): Promise<number> {
  return ((await stat(directory)).mode & GROUP_MAY_WRITE) === 0 ? mode : mode | SHARED_FILE;
}

/**
 * Gives a group that shares a finished directory its files: a copy has the mode of what it was made of.
 * @throws the system's own error
 */
export async function shareFiles(directory: string): Promise<void> {
  if (((await stat(directory)).mode & GROUP_MAY_WRITE) === 0) return;
  for (const name of await readdir(directory)) {
    const file = `${directory}/${name}`;
    const stats = await lstat(file);
    if (!stats.isFile() || (stats.mode & SHARED_FILE) === SHARED_FILE) continue;
    await setMode(file, (stats.mode & 0o777) | SHARED_FILE);
  }
}

/** Sets the mode of a file in the home. @throws TartletError `STORE_DAMAGED` for a symlink; the system's own error */
export async function setMode(file: string, mode: number): Promise<void> {
  const handle = await openPlainFile(file);
  try {
    await handle.chmod(mode);
  } finally {
    await handle.close();
  }
}
