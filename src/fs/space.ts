import type { StatsFs } from 'node:fs';
import { stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { onDisk } from './disk-error.ts';
import { exists } from './stats.ts';

/** Whether two directories lie on one file system. */
export async function isOnOneDisk(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([one, other].map(async (each) => onDisk('look at', each, async () => stat(each))));
  return a?.dev === b?.dev;
}

/**
 * Bytes that this user may still write on the file system of a directory, or of where it would be made; root's reserve
 * does not count (reliability D27).
 */
export async function freeBytes(directory: string): Promise<number> {
  const stats = await fileSystemOf(directory);
  return stats.bavail * stats.bsize;
}

/** File systems whose files can share blocks, by the numbers that Linux gives them: Btrfs, XFS, bcachefs, OCFS2. */
const SHARING_ON_LINUX = new Set([0x9123683e, 0x58465342, 0xca451a4e, 0x7461636f]);

/**
 * Whether two files in a directory can probably share blocks. Found by the kind of file system, without writing
 * anything; an old XFS may still refuse, so the caller must have another way.
 */
export async function probablySharesBlocks(directory: string, platform: NodeJS.Platform): Promise<boolean> {
  // APFS is all that a Mac which can run a VM starts from.
  if (platform === 'darwin') return true;
  return SHARING_ON_LINUX.has((await fileSystemOf(directory)).type);
}

/** Of the nearest directory that there is. */
async function fileSystemOf(directory: string): Promise<StatsFs> {
  let there = directory;
  while (there !== path.dirname(there) && !(await exists(there))) there = path.dirname(there);
  return onDisk('ask for the file system of', there, async () => statfs(there));
}
