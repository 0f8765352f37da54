import { constants, existsSync } from 'node:fs';
import { type FileHandle, open, readdir, rm, rmdir, unlink } from 'node:fs/promises';
import path from 'node:path';
import { systemCode, TartletError } from '../errors.ts';
import { isInPlace, throughDescriptor, trustedRealPath } from './trusted-path.ts';

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;

/**
 * Removes what is at a path, and everything in it; nothing when nothing is there. Links are removed, never followed:
 * each directory is opened and what is in it removed by way of that, so that a link put into its place meanwhile leads
 * nowhere (reliability S25, S61). A link above the place counts as when files are read.
 *
 * @param place absolute, in the home or in what this process made.
 * @throws TartletError `STORE_DAMAGED`, `BUSY` when the directory above is not in its place; otherwise the system's own
 * error.
 */
export async function removeEntry(place: string): Promise<void> {
  const directory = path.dirname(place);
  const above = await openDirectory(directory);
  if (above === undefined) return;
  try {
    if (!isInPlace(above.fd, directory)) {
      throw new TartletError('BUSY', `${directory} is being replaced by another command`, {
        subject: directory,
        kept: 'nothing was removed',
        retryable: true,
      });
    }
    if (existsSync(throughDescriptor(above.fd))) await removeIn(above, path.basename(place));
    // Elsewhere than on Linux nothing leads through a descriptor: where links led was asked, and not more can be done.
    else await rm(`${trustedRealPath(directory)}/${path.basename(place)}`, { recursive: true, force: true });
  } finally {
    await above.close();
  }
}

/** @returns undefined when there is none. */
async function openDirectory(directory: string): Promise<FileHandle | undefined> {
  try {
    return await open(directory, O_RDONLY | O_DIRECTORY);
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(cause) ?? '')) return undefined;
    throw cause;
  }
}

async function removeIn(above: FileHandle, name: string): Promise<void> {
  const place = `${throughDescriptor(above.fd)}/${name}`;
  let directory: FileHandle;
  try {
    directory = await open(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  } catch (cause) {
    const code = systemCode(cause);
    if (code === 'ENOENT') return;
    if (code !== 'ENOTDIR' && code !== 'ELOOP') throw cause;
    await unlessGone(async () => unlink(place));
    return;
  }
  try {
    for (const entry of await readdir(throughDescriptor(directory.fd))) await removeIn(directory, entry);
  } finally {
    await directory.close();
  }
  await unlessGone(async () => rmdir(place));
}

async function unlessGone(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    if (systemCode(cause) !== 'ENOENT') throw cause;
  }
}
