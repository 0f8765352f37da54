import { onDisk } from '../disk-error.ts';
import { createFile } from '../entry.ts';

/**
 * Gives a disk its size before anything is written to it, and makes it when it is not there.
 * @param bytes of the whole disk.
 * @returns whether it is fresh, i.e. known to hold nothing but zeros.
 */
export async function sizeDisk(path: string, bytes: number): Promise<boolean> {
  return onDisk('create', path, async () => {
    const handle = await createFile(path, 'keep');
    try {
      const { size } = await handle.stat();
      // More than the image has would survive at the end of the disk: cut it off first (reliability C34).
      await handle.truncate(bytes);
      return size === 0;
    } finally {
      await handle.close();
    }
  });
}
