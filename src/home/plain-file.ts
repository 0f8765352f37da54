import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { lstat, open, readdir, rm } from 'node:fs/promises';
import { systemCode, TartletError } from '../errors.ts';
import { onDisk } from './disk-error.ts';

/** Without waiting for somebody to write at the other end of a pipe. */
const READING = constants.O_RDONLY | constants.O_NONBLOCK;

/**
 * All of a small file in the home. A pipe or a device that somebody put in its place is not waited for: opening one would hold the command, and the signal
 * that should end it, for ever (reliability C29, S26).
 *
 * @throws TartletError `STORE_DAMAGED` for what is no file; the system's own error for one that is not there or cannot be read.
 */
export async function readPlainFile(file: string): Promise<Buffer> {
  const handle = await open(file, READING);
  try {
    if (!(await handle.stat()).isFile()) throw noFile(file);
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

/** The same for who looks at thousands, where each promise would cost more than the reading. */
export function readPlainFileSync(file: string): Buffer {
  const fd = openSync(file, READING);
  try {
    if (!fstatSync(fd).isFile()) throw noFile(file);
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

function noFile(file: string): TartletError {
  return new TartletError('STORE_DAMAGED', `${file} is not a file`, {
    subject: file,
    kept: 'it was left alone',
    next: 'move it away: it does not belong there',
  });
}

/**
 * Removes from a scratch folder what we never put there: links, which would lead our writing elsewhere, pipes and devices, which would hold it,
 * and folders (reliability S25, S26). A link in the place of the folder itself goes, too; what it leads to stays.
 */
export async function removeStrangers(folder: string): Promise<void> {
  await onDisk('clean', folder, async () => {
    try {
      if (!(await lstat(folder)).isDirectory()) await rm(folder);
      for (const entry of await readdir(folder, { withFileTypes: true }))
        if (!entry.isFile()) await rm(`${folder}/${entry.name}`, { recursive: true });
    } catch (cause) {
      if (systemCode(cause) !== 'ENOENT') throw cause;
    }
  });
}
