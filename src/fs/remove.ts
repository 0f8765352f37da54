import { constants } from 'node:fs';
import { type FileHandle, open, readdir, rm, rmdir, unlink } from 'node:fs/promises';
import { systemCode } from '../errors.ts';
import { throughDirectory } from './directory.ts';
import { isThroughDescriptor, throughDescriptor } from './trusted-path.ts';

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;

/**
 * Removes what is at a path, and everything in it; nothing when nothing is there. Links are removed, never followed:
 * each directory is opened and what is in it removed by way of that, so that a symlink put into its place meanwhile
 * leads nowhere (reliability S25, S61). A symlink above the place counts as when files are read.
 *
 * @param place absolute, in the home or in what this process made.
 * @throws TartletError `STORE_DAMAGED`, `BUSY` when the directory above is not in its place; otherwise the system's own
 * error.
 */
export async function removeEntry(place: string): Promise<void> {
  try {
    await throughDirectory(place, async (entry) => {
      if (isThroughDescriptor(entry)) await removeIn(entry);
      // Elsewhere than on Linux nothing leads through a descriptor, and not more can be done.
      else await rm(entry, { recursive: true, force: true });
    });
  } catch (cause) {
    if (!['ENOENT', 'ENOTDIR'].includes(systemCode(cause) ?? '')) throw cause;
  }
}

async function removeIn(place: string): Promise<void> {
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
    const inside = throughDescriptor(directory.fd);
    for (const entry of await readdir(inside)) await removeIn(`${inside}/${entry}`);
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
