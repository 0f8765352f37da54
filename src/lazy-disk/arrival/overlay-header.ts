import type { FileHandle } from 'node:fs/promises';
import { whyNotAlone } from '../../cloud-image/qcow2-header.ts';
import { TartletError } from '../../errors.ts';
import { isMissing, onDisk } from '../../fs/disk-error.ts';
import { openPlainFile } from '../../fs/plain-file.ts';
import { LazyFile } from '../../home/home-entry.ts';

/** As many bytes as the header of a qcow2 file can have that we make. */
const HEAD_BYTES = 512;

/**
 * Opens the file for what a guest writes, if there is one. Requires of it that it lies where it seems to lie, and that
 * all of it is in that file: QEMU opens with the rights of this user whatever it names, and others may have written it
 * where a home is shared.
 *
 * @param name of the VM.
 * @returns undefined where there is none.
 * @throws TartletError `VM_INVALID`, `STORE_DAMAGED` for what is no file, `DISK_*`
 */
export async function openOwnData(directory: string, name: string): Promise<FileHandle | undefined> {
  const overlay = `${directory}/${LazyFile.overlay}`;
  const handle = await openIfThere(overlay);
  if (handle === undefined) return undefined;
  try {
    const why = whyNotAlone(await onDisk('read', overlay, async () => readHead(handle)));
    if (why === undefined) return handle;
    throw new TartletError('VM_INVALID', `what the guest of the VM "${name}" wrote cannot be used: ${why}`, {
      subject: name,
      kept: 'it was left alone',
    });
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Looks at the file for what a guest writes as {@link openOwnData}, and closes it. @throws TartletError as that */
export async function requireOwnData(directory: string, name: string): Promise<void> {
  await (await openOwnData(directory, name))?.close();
}

async function openIfThere(overlay: string): Promise<FileHandle | undefined> {
  try {
    return await onDisk('open', overlay, async () => openPlainFile(overlay));
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function readHead(handle: FileHandle): Promise<Uint8Array> {
  const head = Buffer.alloc(HEAD_BYTES);
  const { bytesRead } = await handle.read(head, 0, head.length, 0);
  return head.subarray(0, bytesRead);
}
