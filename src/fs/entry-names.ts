import { type Dirent, readdirSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { systemCode } from '../errors.ts';
import { diskError, isMissing } from './disk-error.ts';

/** What a file in the place of a directory means: that nothing is in it, or that something is wrong. */
export type FileInPlace = 'nothing' | 'failure';

/**
 * Names of what is in a directory, in order; none when there is no directory.
 * @throws TartletError `DISK_*`, also for a file in its place unless that is `nothing`.
 */
export function namesIn(directory: string, fileInPlace: FileInPlace = 'failure'): string[] {
  try {
    return readdirSync(directory).sort();
  } catch (cause) {
    return noneUnless(cause, directory, fileInPlace);
  }
}

/** What is in a directory, in the order of the system; otherwise as {@link namesIn}. */
export function entriesIn(directory: string, fileInPlace: FileInPlace = 'failure'): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (cause) {
    return noneUnless(cause, directory, fileInPlace);
  }
}

/** {@link namesIn} where other work goes on meanwhile; a file in the place of the directory has nothing in it. */
export async function listNames(directory: string): Promise<string[]> {
  const names: string[] = await readdir(directory).catch((cause: unknown) => noneUnless(cause, directory, 'nothing'));
  return names.sort();
}

/** {@link entriesIn}, likewise. */
export async function listEntries(directory: string): Promise<Dirent[]> {
  return readdir(directory, { withFileTypes: true }).catch((cause: unknown) => noneUnless(cause, directory, 'nothing'));
}

function noneUnless(cause: unknown, directory: string, fileInPlace: FileInPlace): never[] {
  if (systemCode(cause) === 'ENOENT' || (fileInPlace === 'nothing' && isMissing(cause))) return [];
  throw diskError(cause, 'read the directory', directory);
}

/** The same for callers that can do without: none when it is absent, or not ours to read. */
export function readableNamesIn(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch (cause) {
    if (systemCode(cause) === undefined) throw cause;
    return [];
  }
}
