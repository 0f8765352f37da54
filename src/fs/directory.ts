import { closeSync, constants, existsSync, openSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import path from 'node:path';
import { TartletError } from '../errors.ts';
import { isInPlace, throughDescriptor, trustedRealPath } from './trusted-path.ts';

/*
 * The one way to change what is in a directory of a home: the directory is opened, asked where it is, and its entry
 * reached through the descriptor. A symlink that another user puts into its place, or into that of one above it, leads
 * nowhere then, at whatever moment it comes (issue 14, item 4; reliability S60, S61).
 */

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY;

/** How often something else may be in the place of a directory, for example because an image is being replaced. */
const OPEN_TRIES = 5;

/**
 * Opens a directory that lies where the path says, by symlinks that count.
 *
 * @throws TartletError `STORE_DAMAGED` for a symlink of another user, `BUSY` for one that is replaced time and again;
 * otherwise the system's own error.
 */
export async function openDirectory(directory: string): Promise<FileHandle> {
  for (let tries = 1; tries <= OPEN_TRIES; tries += 1) {
    const handle = await open(directory, DIRECTORY);
    try {
      if (isInPlace(handle.fd, directory)) return handle;
    } catch (error) {
      await handle.close();
      throw error;
    }
    await handle.close();
  }
  throw neverInPlace(directory);
}

/** The same for the threads, which write synchronously. */
function openDirectorySync(directory: string): number {
  for (let tries = 1; tries <= OPEN_TRIES; tries += 1) {
    const fd = openSync(directory, DIRECTORY);
    try {
      if (isInPlace(fd, directory)) return fd;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    closeSync(fd);
  }
  throw neverInPlace(directory);
}

/**
 * Does something with an entry of a directory by way of the directory, once that is open.
 *
 * @param place absolute; nothing need be there.
 * @param work gets the path to use for the entry. A symlink in the place of the entry itself is up to `work`.
 * @throws as {@link openDirectory}, and what `work` throws.
 */
export async function throughDirectory<T>(place: string, work: (entry: string) => Promise<T>): Promise<T> {
  const directory = path.dirname(place);
  const handle = await openDirectory(directory);
  try {
    return await work(entryOf(handle.fd, directory, place));
  } finally {
    await handle.close();
  }
}

/** The same for the threads. */
export function throughDirectorySync<T>(place: string, work: (entry: string) => T): T {
  const directory = path.dirname(place);
  const fd = openDirectorySync(directory);
  try {
    return work(entryOf(fd, directory, place));
  } finally {
    closeSync(fd);
  }
}

/** Where nothing leads through a descriptor, i.e. elsewhere than on Linux, the path is as far as one can look at it. */
function entryOf(fd: number, directory: string, place: string): string {
  const way = throughDescriptor(fd);
  return `${existsSync(way) ? way : trustedRealPath(directory)}/${path.basename(place)}`;
}

function neverInPlace(directory: string): TartletError {
  return new TartletError('BUSY', `${directory} is being replaced by another command`, {
    subject: directory,
    kept: 'nothing in it was changed',
    retryable: true,
  });
}
