import type { FileHandle } from 'node:fs/promises';
import { TartletError } from '../errors.ts';
import { onDisk } from './disk-error.ts';
import { openPlainFile } from './plain-file.ts';

const SPACE = 0x20;

/**
 * Writes new bytes into a JSON file that is there, and keeps its inode: the process that runs a VM holds a lock on that
 * inode, and a file renamed over it would carry no lock (tart-cli §1.4).
 *
 * The bytes go out in one write and are fsynced. A shorter text is followed by spaces up to the old length, which JSON
 * allows, before the file is cut: readers and crashes between the two steps find a whole document. When the disk has no
 * room, the old bytes are put back.
 *
 * @throws TartletError `DISK_*`, `STORE_DAMAGED` for a symlink
 */
export async function rewriteJson(file: string, bytes: Uint8Array): Promise<void> {
  await onDisk('write', file, async () => {
    const handle = await openPlainFile(file, 'write');
    try {
      const before = await readWhole(handle, file);
      if (before.equals(bytes)) return;
      const padded = Buffer.alloc(Math.max(before.length, bytes.length), SPACE);
      padded.set(bytes);
      try {
        await writeWhole(handle, padded);
        await handle.truncate(bytes.length);
        await handle.sync();
      } catch (error) {
        // Its blocks are still there, so this needs no room.
        await writeWhole(handle, before);
        await handle.truncate(before.length);
        throw error;
      }
    } finally {
      await handle.close();
    }
  });
}

async function readWhole(handle: FileHandle, file: string): Promise<Buffer> {
  const { size } = await handle.stat();
  const buffer = Buffer.alloc(size);
  for (let done = 0; done < size; ) {
    const { bytesRead } = await handle.read(buffer, done, size - done, done);
    if (bytesRead === 0)
      throw new TartletError('BUSY', `${file} is being written by another command`, { subject: file });
    done += bytesRead;
  }
  return buffer;
}

/** A write that the disk takes only in part is followed by one that says why (reliability D6). */
async function writeWhole(handle: FileHandle, bytes: Buffer): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, done);
    done += bytesWritten;
  }
}
