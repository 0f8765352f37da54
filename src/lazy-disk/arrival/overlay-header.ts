import { whyNotAlone } from '../../cloud-image/qcow2-header.ts';
import { TartletError } from '../../errors.ts';
import { isMissing, onDisk } from '../../fs/disk-error.ts';
import { openPlainFile } from '../../fs/plain-file.ts';
import { LazyFile } from '../../home/home-entry.ts';

/** As many bytes as the header of a qcow2 file can have that we make. */
const HEAD_BYTES = 512;

/**
 * Requires of the file for what a guest writes, if there is one, that it lies where it seems to lie, and that all of it
 * is in that file: QEMU opens with the rights of this user whatever it names, and others may have written it where a
 * home is shared.
 *
 * @param name of the VM.
 * @throws TartletError `VM_INVALID`, `STORE_DAMAGED` for what is no file, `DISK_*`
 */
export async function requireOwnData(directory: string, name: string): Promise<void> {
  const overlay = `${directory}/${LazyFile.overlay}`;
  const why = whyNotAlone((await readHead(overlay)) ?? new Uint8Array());
  if (why === undefined) return;
  throw new TartletError('VM_INVALID', `what the guest of the VM "${name}" wrote cannot be used: ${why}`, {
    subject: name,
    kept: 'it was left alone',
  });
}

/** @returns undefined where there is none. */
async function readHead(overlay: string): Promise<Uint8Array | undefined> {
  try {
    return await onDisk('read', overlay, async () => {
      const handle = await openPlainFile(overlay);
      try {
        const head = Buffer.alloc(HEAD_BYTES);
        const { bytesRead } = await handle.read(head, 0, head.length, 0);
        return head.subarray(0, bytesRead);
      } finally {
        await handle.close();
      }
    });
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
