import { constants, type Stats } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { isTartletError, systemCode } from '../errors.ts';

/** Bits of a mode that let others than the owner write. */
const OTHERS_MAY_WRITE = 0o022;

/** No symlink is followed, and no pipe waited for. */
const READING = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Whether nobody but this user can have changed the entries of a directory. @throws the system's own error */
export async function isOwnDirectory(directory: string): Promise<boolean> {
  const stats = await stat(directory);
  return stats.isDirectory() && isOwn(stats);
}

/**
 * All of a small file that nobody but this user can have written; for what is believed without proof. On a machine without users, and for what
 * somebody else owns or may write to, there is none.
 *
 * @param maxBytes a longer one is not read.
 * @returns undefined for what cannot be believed. @throws the system's own error
 */
export async function readOwnFile(file: string, maxBytes: number): Promise<Buffer | undefined> {
  const handle = await open(file, READING);
  try {
    const stats = await handle.stat();
    return stats.isFile() && isOwn(stats) && stats.size <= maxBytes ? await handle.readFile() : undefined;
  } finally {
    await handle.close();
  }
}

function isOwn({ uid, mode }: Stats): boolean {
  return uid === process.geteuid?.() && (mode & OTHERS_MAY_WRITE) === 0;
}

/** For records that only save time: one that is missing, cannot be read or is not understood is none. */
export async function unlessUnusable<T>(read: () => Promise<T | undefined>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof SyntaxError || isTartletError(error) || systemCode(error) !== undefined) return undefined;
    throw error;
  }
}
