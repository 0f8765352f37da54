import { constants } from 'node:fs';
import { type FileHandle, open, readdir, unlink } from 'node:fs/promises';
import { systemCode } from '../errors.ts';
import { tryFlock } from '../fs/native.ts';

/** How an archive is called while it is written. */
const LEFTOVER = /^\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tartlet-export$/;

/** A living export has locked its file by then, in milliseconds. */
const LOCKED_AFTER_MS = 60_000;

/**
 * Locks the unfinished file of an export for as long as it is open, and removes those of killed exports beside it,
 * which nothing else would ever do (issue 14, item 15). Never a reason for an export to fail: what cannot be locked or
 * removed stays.
 */
export async function replaceLeftovers(directory: string, own: FileHandle): Promise<void> {
  try {
    if (tryFlock(own.fd, 'exclusive') !== true) return;
    const { mtimeMs } = await own.stat();
    for (const name of await readdir(directory)) {
      if (LEFTOVER.test(name)) await removeIfLeft(`${directory}/${name}`, mtimeMs - LOCKED_AFTER_MS);
    }
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
  }
}

/** @param before ages are compared by the clock of the file system, in milliseconds. */
async function removeIfLeft(file: string, before: number): Promise<void> {
  const handle = await open(file, constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    () => undefined,
  );
  if (handle === undefined) return;
  try {
    const stats = await handle.stat();
    if (stats.isFile() && stats.mtimeMs < before && tryFlock(handle.fd, 'exclusive') === true) await unlink(file);
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
  } finally {
    await handle.close();
  }
}
