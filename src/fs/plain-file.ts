import { closeSync, constants, fstatSync, lstatSync, openSync } from 'node:fs';
import { type FileHandle, lstat, open, readdir } from 'node:fs/promises';
import { systemCode, TartletError } from '../errors.ts';
import { onDisk } from './disk-error.ts';
import { removeEntry } from './remove.ts';
import { isInPlace, trustedRealPath } from './trusted-path.ts';

const { O_APPEND, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR } = constants;

/** What a file is opened for; `append` writes at its end only. */
export type Access = 'read' | 'write' | 'append';

/** Without waiting for the other end of a pipe, and without following a symlink. */
const FLAGS: Readonly<Record<Access, number>> = {
  read: O_RDONLY | O_NONBLOCK | O_NOFOLLOW,
  write: O_RDWR | O_NONBLOCK | O_NOFOLLOW,
  append: O_RDWR | O_APPEND | O_NONBLOCK | O_NOFOLLOW,
};

/** How often something else may be in the place of a file, for example because the image is being replaced. */
const OPEN_TRIES = 5;

/** What the systems say of a symlink that is not to be followed. */
const IS_LINK: ReadonlySet<string | undefined> = new Set(['ELOOP', 'EMLINK']);

/**
 * Opens a file in the home that is there. A pipe or a device in its place is not waited for: opening one would hold the
 * command, and the signal that should end it, for ever (reliability C29, S26). A symlink in its place, or in that of a
 * directory above, is not followed where another user can have made it (S25, S60).
 *
 * @throws TartletError `STORE_DAMAGED` for what is no file; the system's own error for one that is not there or cannot
 * be read.
 */
export async function openPlainFile(file: string, access: Access = 'read'): Promise<FileHandle> {
  for (let tries = 1; tries <= OPEN_TRIES; tries += 1) {
    const handle = await open(file, FLAGS[access]).catch((cause: unknown) => refuseLink(file, cause));
    try {
      if (!(await handle.stat()).isFile()) throw noFile(file);
      if (isInPlace(handle.fd, file)) return handle;
    } catch (error) {
      await handle.close();
      throw error;
    }
    await handle.close();
  }
  throw neverInPlace(file);
}

/**
 * The same for callers that look at thousands, where each promise would cost more than the reading, and for the
 * threads.
 */
export function openPlainFileSync(file: string, access: Access = 'read'): number {
  for (let tries = 1; tries <= OPEN_TRIES; tries += 1) {
    const fd = openNow(file, access);
    try {
      if (!fstatSync(fd).isFile()) throw noFile(file);
      if (isInPlace(fd, file)) return fd;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    closeSync(fd);
  }
  throw neverInPlace(file);
}

function openNow(file: string, access: Access): number {
  try {
    return openSync(file, FLAGS[access]);
  } catch (cause) {
    return refuseLink(file, cause);
  }
}

/**
 * The same for the disk of a VM, in whose place people who lack room put a link to a file elsewhere.
 * @throws as {@link openPlainFile}
 */
export async function openDisk(disk: string, access: Access = 'read'): Promise<FileHandle> {
  return openPlainFile(realDisk(disk), access);
}

/** The same for the threads. */
export function openDiskSync(disk: string): number {
  return openPlainFileSync(realDisk(disk));
}

function realDisk(disk: string): string {
  return lstatSync(disk).isSymbolicLink() ? trustedRealPath(disk) : disk;
}

/**
 * Says of a symlink that was not followed what it is. @throws TartletError `STORE_DAMAGED`, or what the system said.
 */
export function refuseLink(file: string, cause: unknown): never {
  if (IS_LINK.has(systemCode(cause))) throw noFile(file);
  throw cause;
}

/** The error for what lies where a file belongs. */
export function noFile(file: string): TartletError {
  return new TartletError('STORE_DAMAGED', `${file} is not a file`, {
    subject: file,
    kept: 'it was left alone',
    next: { kind: 'move-away' },
  });
}

function neverInPlace(file: string): TartletError {
  return new TartletError('BUSY', `${file} is being replaced by another command`, { subject: file, retryable: true });
}

/**
 * Removes from a scratch directory what we never put there: symlinks, which would lead our writing elsewhere, pipes and
 * devices, which would hold it, and directories (reliability S25, S26). A symlink in the place of the directory itself
 * goes, too; what it leads to stays.
 */
export async function removeStrangers(directory: string): Promise<void> {
  await onDisk('clean', directory, async () => {
    try {
      if (!(await lstat(directory)).isDirectory()) await removeEntry(directory);
      for (const entry of await readdir(directory, { withFileTypes: true }))
        if (!entry.isFile()) await removeEntry(`${directory}/${entry.name}`);
    } catch (cause) {
      if (systemCode(cause) !== 'ENOENT') throw cause;
    }
  });
}
