import { statfs } from 'node:fs/promises';
import { onDisk } from './disk-error.ts';

/** Bytes that this user may still write on the file system of a folder; root's reserve does not count (reliability D27). */
export async function freeBytes(folder: string): Promise<number> {
  const stats = await onDisk('ask for the free space of', folder, async () => statfs(folder));
  return stats.bavail * stats.bsize;
}
