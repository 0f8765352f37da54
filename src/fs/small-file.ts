import { closeSync, constants, fstatSync, readSync, type Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { TartletError } from '../errors.ts';
import { diskError, isMissing } from './disk-error.ts';
import { openPlainFile, openPlainFileSync } from './plain-file.ts';

/*
 * The one way to read a small file: not more of it than what belongs there may have, no pipe or device is waited for,
 * and one that is not there is a value. In a home no symlink is followed; a file that the user named outside of it may
 * be one.
 */

/**
 * What a small file in a home may have where nothing smaller is said, in bytes: NVRAMs have some hundred KiB, manifests
 * a few MiB.
 */
const SMALL_FILE_BYTES = 64 * 1024 * 1024;

/** What reading something that is open gave. */
export type SmallFile =
  | { readonly kind: 'read'; readonly bytes: Buffer; readonly stats: Stats }
  | { readonly kind: 'not-a-file' }
  | { readonly kind: 'too-large'; readonly size: number };

/** All of a file that is open, and of which nothing was read. @throws the system's own error */
export async function readOpenFile(file: FileHandle, maxBytes: number): Promise<SmallFile> {
  const stats = await file.stat();
  if (!stats.isFile()) return { kind: 'not-a-file' };
  if (stats.size > maxBytes) return { kind: 'too-large', size: stats.size };
  const buffer = Buffer.allocUnsafe(stats.size);
  let done = 0;
  for (let read = -1; read !== 0 && done < buffer.length; done += read) {
    read = (await file.read(buffer, done, buffer.length - done, done)).bytesRead;
  }
  return { kind: 'read', bytes: buffer.subarray(0, done), stats };
}

/** {@link readOpenFile} for callers that read thousands, where each promise would cost more than the reading. */
export function readOpenFileSync(fd: number, maxBytes: number): SmallFile {
  const stats = fstatSync(fd);
  if (!stats.isFile()) return { kind: 'not-a-file' };
  if (stats.size > maxBytes) return { kind: 'too-large', size: stats.size };
  const buffer = Buffer.allocUnsafe(stats.size);
  let done = 0;
  for (let read = -1; read !== 0 && done < buffer.length; done += read) {
    read = readSync(fd, buffer, done, buffer.length - done, done);
  }
  return { kind: 'read', bytes: buffer.subarray(0, done), stats };
}

/**
 * All of a small file of a home.
 *
 * @throws TartletError `DISK_*`, also for one that is not there; `STORE_DAMAGED` for what is no file or has more than
 * `maxBytes`; `BUSY` as for `openPlainFile`.
 */
export async function readSmallFile(file: string, maxBytes = SMALL_FILE_BYTES): Promise<Buffer> {
  try {
    const handle = await openPlainFile(file);
    try {
      return bytesOf(await readOpenFile(handle, maxBytes), file, maxBytes);
    } finally {
      await handle.close();
    }
  } catch (cause) {
    throw diskError(cause, 'read', file);
  }
}

/** {@link readSmallFile} of one that may be missing: then undefined. */
export async function readSmallFileIfThere(file: string, maxBytes = SMALL_FILE_BYTES): Promise<Buffer | undefined> {
  try {
    return await readSmallFile(file, maxBytes);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** {@link readSmallFileIfThere} for callers that read thousands. */
export function readSmallFileIfThereSync(file: string, maxBytes = SMALL_FILE_BYTES): Buffer | undefined {
  try {
    const fd = openPlainFileSync(file);
    try {
      return bytesOf(readOpenFileSync(fd, maxBytes), file, maxBytes);
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw diskError(cause, 'read', file);
  }
}

/**
 * A small file outside of the home: symlinks are followed.
 *
 * @returns undefined when there is none. @throws the system's own error
 */
export async function readNamedFile(file: string, maxBytes: number): Promise<SmallFile | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw cause;
  }
  try {
    return await readOpenFile(handle, maxBytes);
  } finally {
    await handle.close();
  }
}

function bytesOf(read: SmallFile, file: string, maxBytes: number): Buffer {
  if (read.kind === 'read') return read.bytes;
  const why = read.kind === 'not-a-file' ? 'is not a file' : `has ${read.size} bytes, and may have ${maxBytes}`;
  throw new TartletError('STORE_DAMAGED', `${file} ${why}`, {
    subject: file,
    kept: 'it was left alone',
    next: { kind: 'move-away' },
  });
}
