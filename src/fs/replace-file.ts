import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { TartletError } from '../errors.ts';
import { diskError } from './disk-error.ts';
import { syncDirectory } from './fsync.ts';

/** How a file is replaced. */
export interface FileReplacement<T> {
  /** Where the new file is written until it is complete: in the directory of the target, and nothing may be there. */
  readonly temporary: string;
  /** Of the new file. Default: the system's. */
  readonly mode?: number | undefined;
  readonly write: (file: FileHandle) => Promise<T>;
  /** Asked when the new file is on the disk: false drops it, and the old one stays. */
  readonly confirm?: () => Promise<boolean>;
  /** What to say when the file system refuses a step. Default: that the target cannot be written. */
  readonly explain?: (cause: unknown) => TartletError;
}

/** What became of it, and what `write` returned. */
export interface Replaced<T> {
  readonly isReplaced: boolean;
  readonly result: T;
}

/**
 * Replaces a file that the user named, as one step: it is written beside, fsynced, renamed into place, and the
 * directory fsynced. Readers, and a new process after a power cut, find the old file or the whole new one; what fails
 * leaves nothing but the old one. What is in a home is replaced by `publish.ts` and `home/link.ts`, which go by way of
 * directories whose place was checked.
 *
 * @throws TartletError `DISK_*`, and what `write` and `confirm` throw.
 */
export async function replaceFile<T>(target: string, how: FileReplacement<T>): Promise<Replaced<T>> {
  const { temporary, mode, write, confirm, explain = (cause) => diskError(cause, 'write', target) } = how;
  const step = async <S>(work: Promise<S>): Promise<S> =>
    work.catch((cause: unknown) => {
      throw explain(cause);
    });
  const file = await step(open(temporary, 'wx', mode));
  let result: T;
  try {
    result = await write(file);
    await step(file.sync());
    if ((await confirm?.()) === false) return { isReplaced: false, result };
    // Still open: a lock of it lasts until it has its name.
    await step(rename(temporary, target));
  } finally {
    await file.close();
    await rm(temporary, { force: true });
  }
  const directory = await step(open(path.dirname(target), 'r'));
  await step(syncDirectory(directory));
  return { isReplaced: true, result };
}
