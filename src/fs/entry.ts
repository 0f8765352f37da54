import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rmdir, symlink } from 'node:fs/promises';
import { throughDirectory, throughDirectorySync } from './directory.ts';
import { swapPaths } from './native.ts';
import { noFile, refuseLink } from './plain-file.ts';

/*
 * What makes, moves and removes entries of the home, each by way of its directory (`directory.ts`), so that no symlink
 * of another user leads it elsewhere. What is below the home is changed by these, by `plain-file.ts` and `remove.ts`
 * only; the rules of oxlint refuse the system's own calls by a path. All throw the system's own errors, `STORE_DAMAGED`
 * for a symlink of another user, and `BUSY` for a directory that is replaced time and again.
 */

const { O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDWR, O_TRUNC } = constants;

/** What becomes of a file that is there already: it is an error, its content goes, is added to, or stays. */
export type IfThere = 'refuse' | 'empty' | 'append' | 'keep';

const FLAGS: Readonly<Record<IfThere, number>> = { refuse: O_EXCL, empty: O_TRUNC, append: O_APPEND, keep: 0 };

function flagsFor(ifThere: IfThere): number {
  return O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | FLAGS[ifThere];
}

/**
 * Opens a file for writing, and makes it unless it is there. Neither is a symlink in its place followed, nor a pipe
 * waited for (S25, S26).
 *
 * @param mode of a file that is made. Default: the system's.
 * @throws TartletError `STORE_DAMAGED` for what is no file.
 */
export async function createFile(file: string, ifThere: IfThere, mode?: number): Promise<FileHandle> {
  const handle = await throughDirectory(file, async (entry) => open(entry, flagsFor(ifThere), mode)).catch(
    (cause: unknown) => refuseLink(file, cause),
  );
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw noFile(file);
}

/** The same for the threads. */
export function createFileSync(file: string, ifThere: IfThere, mode?: number): number {
  let fd: number;
  try {
    fd = throughDirectorySync(file, (entry) => openSync(entry, flagsFor(ifThere), mode));
  } catch (cause) {
    return refuseLink(file, cause);
  }
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  throw noFile(file);
}

/** Makes a directory. Another one above it must be there. @param mode Default: the system's. */
export async function makeDirectory(directory: string, mode?: number): Promise<void> {
  await throughDirectory(directory, async (entry) => mkdir(entry, { mode }));
}

/** Makes a symlink that says a text, unless something is there. */
export async function makeLink(text: string, link: string): Promise<void> {
  await throughDirectory(link, async (entry) => symlink(text, entry));
}

/**
 * Renames what is at a path, whatever it is: a symlink is not followed. What the system replaces at the new path goes.
 */
export async function moveEntry(from: string, to: string): Promise<void> {
  await throughDirectory(from, async (source) => throughDirectory(to, async (target) => rename(source, target)));
}

/** Exchanges what is at two paths, in one step. @returns false where the system cannot. */
export async function exchangeEntries(one: string, other: string): Promise<boolean> {
  return throughDirectory(one, async (first) => throughDirectory(other, async (second) => swapPaths(first, second)));
}

/** Removes a directory in which nothing is. */
export async function removeEmptyDirectory(directory: string): Promise<void> {
  await throughDirectory(directory, async (entry) => rmdir(entry));
}
