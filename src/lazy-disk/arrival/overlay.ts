import path from 'node:path';
import { TartletError } from '../../errors.ts';
import { onDisk } from '../../fs/disk-error.ts';
import { createFile, moveEntry } from '../../fs/entry.ts';
import { fsyncDirectory, fsyncFile } from '../../fs/fsync.ts';
import { openDisk } from '../../fs/plain-file.ts';
import { removeEntry } from '../../fs/remove.ts';
import { exists } from '../../fs/stats.ts';
import { throughDescriptor } from '../../fs/trusted-path.ts';
import { LazyFile } from '../../home/home-entry.ts';
import type { HeldDisk } from './held-disk.ts';
import type { LazyVm } from './lazy-vm.ts';
import { openOwnData } from './overlay-header.ts';
import { requireQemuImg, runQemuImg } from './qemu-img.ts';

/** The number that the first descriptor has in `qemu-img` which it inherits. */
const FIRST_INHERITED = 3;

/**
 * Makes the file for what a guest writes, empty, unless it is there: a qcow2 image of the size of the disk. What it
 * lies above is told to QEMU at each start, and stands nowhere in it. One that is there grows to that size.
 *
 * @param directory of the VM.
 * @param searchPath the environment's `PATH`.
 * @throws TartletError `HOST_LACKS` without `qemu-img`, `DISK_*`
 */
export async function makeOverlay(directory: string, diskBytes: number, searchPath: string): Promise<void> {
  const overlay = `${directory}/${LazyFile.overlay}`;
  if (await exists(overlay)) return growOverlay(directory, diskBytes, searchPath);
  const program = await requireQemuImg(searchPath);
  // Under another name until it is whole: half of one would be taken for what the guest wrote.
  const making = LazyFile.newOverlay;
  await removeEntry(`${directory}/${making}`);
  // By way of what was made here: a symlink that comes into its place meanwhile leads nowhere.
  const made = await onDisk('create', making, async () => createFile(`${directory}/${making}`, 'refuse'));
  try {
    const argv = ['create', '-q', '-f', 'qcow2', throughDescriptor(FIRST_INHERITED), String(diskBytes)];
    await runQemuImg(argv, { program, directory, verb: 'make', file: overlay, inherited: [made.fd] });
  } finally {
    await made.close();
  }
  await fsyncFile(`${directory}/${making}`);
  await moveEntry(`${directory}/${making}`, overlay);
  await fsyncDirectory(directory);
}

/**
 * The disk was made larger since. QEMU writes the larger table first and the size last, so that a kill leaves the one
 * size or the other.
 */
async function growOverlay(directory: string, diskBytes: number, searchPath: string): Promise<void> {
  if ((await overlayBytes(directory)) >= diskBytes) return;
  const program = await requireQemuImg(searchPath);
  const file = `${directory}/${LazyFile.overlay}`;
  const overlay = await openOwnData(directory, path.basename(directory));
  if (overlay === undefined) return;
  try {
    const argv = ['resize', '-q', '-f', 'qcow2', throughDescriptor(FIRST_INHERITED), String(diskBytes)];
    await runQemuImg(argv, { program, directory, verb: 'enlarge', file, inherited: [overlay.fd] });
  } finally {
    await overlay.close();
  }
}

/** How a qcow2 file begins, and where it says how large the disk is (QEMU docs/interop/qcow2.txt, "Header"). */
const MAGIC = Buffer.from('QFI\xfb', 'latin1');
const SIZE_AT = 24;
const SIZE_END = 32;

/**
 * How large the disk is that what a guest wrote belongs to, in bytes.
 * @throws TartletError `VM_INVALID` where that cannot be what a guest wrote, `DISK_*`
 */
export async function overlayBytes(directory: string): Promise<number> {
  const overlay = `${directory}/${LazyFile.overlay}`;
  const header = Buffer.alloc(SIZE_END);
  await onDisk('read', overlay, async () => {
    const handle = await openDisk(overlay);
    try {
      await handle.read(header, 0, header.length, 0);
    } finally {
      await handle.close();
    }
  });
  if (header.subarray(0, MAGIC.length).equals(MAGIC)) return Number(header.readBigUInt64BE(SIZE_AT));
  throw new TartletError('VM_INVALID', `what the guest wrote cannot be read: ${overlay} is no qcow2 image`, {
    subject: overlay,
    kept: 'it was left alone',
    next: { kind: 'restore-missing' },
  });
}

export interface MergeOptions {
  /** Of {@link requireQemuImg}. */
  readonly program: string;
  readonly signal: AbortSignal;
  /** The disk that is what the guest read otherwise. */
  readonly disk: HeldDisk;
  /** Descriptors of the locks of the VM. */
  readonly inherited: readonly number[];
}

/**
 * Writes what a guest wrote, and what it discarded as zeros, into a disk that is what the guest read otherwise. Only
 * the disk is written to: killed at any moment, what the guest wrote is as whole as before, and another copy of the
 * image takes it up from the beginning.
 *
 * @throws TartletError `VM_INVALID` where what the guest wrote names other files, `DISK_*`
 */
export async function mergeOverlay(
  { directory, name }: Pick<LazyVm, 'directory' | 'name'>,
  { program, signal, disk, inherited }: MergeOptions,
): Promise<void> {
  const overlay = await openOwnData(directory, name);
  if (overlay === undefined) return;
  // By what is open here: another file may come into the place of either at any moment, where others may write.
  const descriptors = [overlay.fd, disk.descriptor];
  const [top, below] = descriptors.map((_, at) => throughDescriptor(FIRST_INHERITED + at));
  // Which file lies below which is said here, and nowhere in a header; nothing is guessed at, whatever a guest wrote.
  const chain = JSON.stringify({
    driver: 'qcow2',
    file: { driver: 'file', filename: top },
    backing: { driver: 'raw', file: { driver: 'file', filename: below } },
  });
  try {
    // `-d`: else it would be emptied, before the disk counts.
    await runQemuImg(['commit', '-q', '-d', `json:${chain}`], {
      program,
      directory,
      verb: 'merge',
      file: `${directory}/${LazyFile.overlay}`,
      signal,
      inherited: [...descriptors, ...inherited],
    });
  } finally {
    await overlay.close();
  }
}
