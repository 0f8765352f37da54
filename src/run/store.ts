import { copyDisk, type CopyOptions } from '../fs/disk/disk-copy.ts';
import { fsyncFile } from '../fs/fsync.ts';
import { sizeDisk } from '../fs/disk/disk-size.ts';
import { moveEntry } from '../fs/entry.ts';
import { openPlainFile } from '../fs/plain-file.ts';
import { removeEntry } from '../fs/remove.ts';
import { exactStatIfThere, exists, statIfThere } from '../fs/stats.ts';
import type { Firmware } from '../hypervisor/qemu/firmware.ts';
import { keptBytes, useOfStore } from '../hypervisor/qemu/firmware-store.ts';
import { QEMU_STORE, VmFile } from '../home/home-entry.ts';
import { TartletError } from '../errors.ts';
import type { Arch } from '../vm/config.ts';

/** A store that is padded while the VM runs. */
const PADDED_STORE = 'nvram.run.fd';

/** Bytes that tell a store. */
const HEAD_BYTES = 64;

/** The firmware's variables of a VM that is about to run. */
export interface PreparedStore {
  /** A name in the VM's directory. */
  readonly name: string;
  /** Brings what the guest wrote back to where it is kept. */
  keep(): Promise<void>;
}

/**
 * Finds or makes the store (vm-run.md §5).
 * @throws TartletError `DISK_*`, `VM_INVALID` for a store beside it that does not fit
 */
export async function prepareStore(
  directory: string,
  { arch, firmware }: { readonly arch: Arch; readonly firmware: Firmware },
  options: CopyOptions,
): Promise<PreparedStore> {
  const nvram = `${directory}/${VmFile.nvram}`;
  await recover(directory, arch);
  const { head, size } = await readHead(nvram);
  const templateSize = (await statIfThere(firmware.storeTemplate))?.size ?? 0;
  const use = useOfStore(head, size, { arch, templateSize });
  if (use.kind === 'foreign') return besides(directory, { ...firmware, arch, templateSize }, options);
  if (use.padTo === undefined) return { name: VmFile.nvram, keep: async () => undefined };
  const padded = `${directory}/${PADDED_STORE}`;
  await removeEntry(padded);
  await copyDisk(nvram, padded, options);
  await sizeDisk(padded, use.padTo);
  return {
    name: PADDED_STORE,
    keep: async () => {
      await sizeDisk(padded, keptBytes(arch, use.padTo ?? size));
      await fsyncFile(padded);
      await moveEntry(padded, nvram);
    },
  };
}

/** What the guest of a run that was killed wrote to a padded store, unless `nvram.bin` was written since. */
async function recover(directory: string, arch: Arch): Promise<void> {
  const [padded, nvram] = [`${directory}/${PADDED_STORE}`, `${directory}/${VmFile.nvram}`];
  const [left, kept] = await Promise.all([exactStatIfThere(padded), exactStatIfThere(nvram)]);
  if (left === undefined) return;
  const { head, size } = await readHead(padded);
  const use = useOfStore(head, size, { arch, templateSize: size });
  // One that has not its whole size was not copied to its end.
  const isWhole = use.kind === 'own' && use.padTo === undefined;
  if (!isWhole || left.mtimeNs < (kept?.mtimeNs ?? 0n)) return;
  await sizeDisk(padded, keptBytes(arch, size));
  await fsyncFile(padded);
  await moveEntry(padded, nvram);
}

/**
 * For a VM whose `nvram.bin` is another program's: made from the firmware's own when the VM first runs here. One that
 * does not fit makes QEMU end, or the firmware hang without a word (vm-run.md §5).
 */
async function besides(
  directory: string,
  { storeTemplate, arch, templateSize }: Firmware & { readonly arch: Arch; readonly templateSize: number },
  options: CopyOptions,
): Promise<PreparedStore> {
  const store = `${directory}/${QEMU_STORE}`;
  if (!(await exists(store))) {
    await removeEntry(`${store}.new`);
    await copyDisk(storeTemplate, `${store}.new`, options);
    await moveEntry(`${store}.new`, store);
  }
  const { head, size } = await readHead(store);
  // A firmware of arm64 begins with zeros, and makes its store at the first start.
  const fits = head.every((byte) => byte === 0) || useOfStore(head, size, { arch, templateSize }).kind === 'own';
  if (!fits || size !== templateSize) {
    throw new TartletError('VM_INVALID', `${store} is no store of variables of this machine's firmware`, {
      subject: store,
      kept: 'it was left alone',
      next: { kind: 'move-store-away', path: store },
    });
  }
  return { name: QEMU_STORE, keep: async () => undefined };
}

async function readHead(file: string): Promise<{ readonly head: Uint8Array; readonly size: number }> {
  const handle = await openPlainFile(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return { head: buffer.subarray(0, bytesRead), size: (await handle.stat()).size };
  } finally {
    await handle.close();
  }
}
