import { open, stat, truncate } from 'node:fs/promises';
import { onDisk } from './disk-error.ts';

/**
 * Gives a disk its size before anything is written to it, and makes it when it is not there.
 * @param bytes of the whole disk.
 * @returns whether it is fresh, i.e. known to hold nothing but zeros.
 */
export async function sizeDisk(path: string, bytes: number): Promise<boolean> {
  return onDisk('create', path, async () => {
    const before = await stat(path).catch(() => undefined);
    if (before === undefined) await (await open(path, 'wx')).close();
    // More than the image has would survive at the end of the disk: cut it off first (reliability C34).
    await truncate(path, bytes);
    return before === undefined || before.size === 0;
  });
}
