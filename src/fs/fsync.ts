import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { isTartletError, systemCode, TartletError } from '../errors.ts';
import { openDirectory } from './directory.ts';
import { isMissing, onDisk } from './disk-error.ts';
import { createFile } from './entry.ts';
import { openPlainFile } from './plain-file.ts';
import { removeEntry } from './remove.ts';

/*
 * The one place that makes lasting what was written: files and directories are fsynced here. What changes is written
 * beside, fsynced, renamed into place, and the directory fsynced (`publish.ts`, `replace-file.ts`; symlinks:
 * `home/link.ts`), so that a kill or a power cut leaves the old thing or the new one, and at most a scratch entry
 * (reliability §4.1).
 */

/**
 * Makes a rename, a creation or a removal in a directory durable. Some file systems cannot fsync a directory
 * (reliability D20).
 */
export async function fsyncDirectory(directory: string): Promise<void> {
  await onDisk('fsync the directory', directory, async () => rawFsyncDirectory(directory));
}

/**
 * {@link fsyncDirectory} of a directory in which something was removed or replaced, that another command may remove
 * once it is empty: then what was in it is gone as well, and the fsync of the next directory above makes that lasting.
 */
export async function fsyncRemoval(directory: string): Promise<void> {
  for (let at = directory; ; at = path.dirname(at)) {
    try {
      return await fsyncDirectory(at);
    } catch (error) {
      if (!isMissing(error) || at === path.dirname(at)) throw error;
    }
  }
}

/** {@link fsyncDirectory} that fails as the system says it. */
export async function rawFsyncDirectory(directory: string): Promise<void> {
  await syncDirectory(await openDirectory(directory));
}

/** What file systems answer that cannot fsync a directory (reliability D20). */
const CANNOT_FSYNC: ReadonlySet<string | undefined> = new Set(['EINVAL', 'ENOTSUP', 'EISDIR', 'EPERM']);

/** Fsyncs a directory that is open, where the file system can, and closes it. @throws the system's own error */
export async function syncDirectory(directory: FileHandle): Promise<void> {
  try {
    await directory.sync();
  } catch (cause) {
    if (!CANNOT_FSYNC.has(systemCode(cause))) throw cause;
  } finally {
    await directory.close();
  }
}

/**
 * Fsyncs a directory in which something was published, and every one above it up to the one in which `top` lies. Any of
 * them may be new: made by this command, by another one that has not come to its fsync yet, or by one that was killed
 * before. Of a directory that did not change an fsync takes less than 0.1 ms.
 *
 * @param top the home's root or the like: what is above it is not ours.
 */
export async function fsyncUpTo(directory: string, top: string): Promise<void> {
  await fsyncDirectory(directory);
  for (let at = directory; ; at = path.dirname(at)) {
    const parent = path.dirname(at);
    if (parent === at) return;
    await fsyncAbove(parent);
    if (at === top) return;
  }
}

/**
 * What says that nothing of ours is new in a directory above, or that there is no way to make it lasting (reliability
 * D20).
 */
const NOT_FSYNCED = ['DISK_DENIED', 'DISK_READONLY', 'DISK_UNSUPPORTED'] as const;

/** A directory above may be another user's, whom we may pass and not read; or it went, and what was in it. */
export async function fsyncAbove(directory: string): Promise<void> {
  try {
    await fsyncDirectory(directory);
  } catch (error) {
    if (!isMissing(error) && !isTartletError(error, ...NOT_FSYNCED)) throw error;
  }
}

/**
 * Fsyncs a finished file. A failure is final for the file: the kernel may already have dropped the pages (reliability
 * D9).
 */
export async function fsyncFile(file: string): Promise<void> {
  await onDisk('fsync', file, async () => {
    const handle = await openPlainFile(file, 'write');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}

/**
 * Writes a new file and fsyncs it; nothing is written through a symlink. @param mode of the file. Default: the
 * system's.
 */
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
 * Fsyncs a finished file, and removes it when that fails: the system may have forgotten what it could not write, and
 * would say the next time that all is well (reliability D9). The next command begins it anew.
 *
 * @throws TartletError `DISK_*`
 */
export async function fsyncOrRemove(file: string): Promise<void> {
  try {
    await fsyncFile(file);
  } catch (error) {
    throw await removeLost(file, error);
  }
}

/** Removes a file of which a fsync failed. @returns the failure, which says so. */
export async function removeLost(file: string, failure: unknown): Promise<unknown> {
  await removeEntry(file);
  const kept = 'nothing of the file that could not be fsynced: what the disk has of it is unknown';
  return failure instanceof TartletError ? failure.with({ kept }) : failure;
}
