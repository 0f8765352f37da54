import { isTartletError } from '../errors.ts';
import { onDisk } from '../fs/disk-error.ts';
import { moveEntry } from '../fs/entry.ts';
import { writeNewFile } from '../fs/fsync.ts';
import { readSmallFileIfThere } from '../fs/small-file.ts';
import { type BootOrder, formatBootOrder, MAX_BOOT_ORDER_BYTES, parseBootOrder } from '../oci/boot-order.ts';

/**
 * Reads a boot order that was kept beside a disk. It is a hint: what cannot be read, or is none, is as good as missing.
 *
 * @param diskBytes of the disk.
 */
export async function readBootOrder(file: string, diskBytes: number): Promise<BootOrder | undefined> {
  try {
    const document = await readSmallFileIfThere(file, MAX_BOOT_ORDER_BYTES);
    return document === undefined ? undefined : parseBootOrder(document, diskBytes);
  } catch (error) {
    if (isTartletError(error)) return undefined;
    throw error;
  }
}

/**
 * Keeps a boot order in the directory of a VM; one that is there is replaced in one step. @throws TartletError `DISK_*`
 */
export async function writeBootOrder(file: string, order: BootOrder): Promise<void> {
  await writeNewFile(`${file}.new`, formatBootOrder(order));
  await onDisk('move into place', file, async () => moveEntry(`${file}.new`, file));
}
