import { readdirSync } from 'node:fs';
import { systemCode } from '../errors.ts';
import { diskError } from './disk-error.ts';

/**
 * Names of what is in a folder, in order; none when there is nothing.
 * @throws TartletError `DISK_*`, also for a file in its place.
 */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') return [];
    throw diskError(cause, 'read the folder', folder);
  }
}

/** The same for who can do without: none when it is absent, or not ours to read. */
export function readableNamesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch (cause) {
    if (systemCode(cause) === undefined) throw cause;
    return [];
  }
}
