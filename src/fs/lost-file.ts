import { TartletError } from '../errors.ts';
import { flushFile } from './folder.ts';
import { removeEntry } from './remove.ts';

/**
 * Flushes a finished file, and removes it when that fails: the system may have forgotten what it could not write, and would
 * say the next time that all is well (reliability D9). Whoever comes next begins it anew.
 *
 * @throws TartletError `DISK_*`
 */
export async function flushOrRemove(file: string): Promise<void> {
  try {
    await flushFile(file);
  } catch (error) {
    throw await removeLost(file, error);
  }
}

/** Removes a file of which a flush failed. @returns the failure, which says so. */
export async function removeLost(file: string, failure: unknown): Promise<unknown> {
  await removeEntry(file);
  const kept = 'nothing of the file that could not be flushed: what the disk has of it is unknown';
  return failure instanceof TartletError ? failure.with({ kept }) : failure;
}
