import path from 'node:path';
import { codeOfWords } from '../../fs/disk-error.ts';
import type { DiskFailure } from '../hypervisor.ts';
import type { Disk, Machine } from '../machine.ts';
import { diskNode } from './disk-node.ts';
import type { QmpEvent } from './qmp.ts';

/** What QEMU tells of a disk that failed (`BLOCK_IO_ERROR`, `qapi/block-core.json` of QEMU). */
export function diskFailureOf({ data }: QmpEvent, { disks, directory }: Machine): DiskFailure {
  const reason = typeof data['reason'] === 'string' ? data['reason'] : 'a disk cannot be read or written';
  const isFull = data['nospace'] === true || codeOfWords(reason) === 'DISK_FULL';
  const disk = disks.find((_, index) => diskNode(index) === data['node-name']);
  const file = disk === undefined ? undefined : fileOf(disk);
  // No file, or the node of a disk that another has taken the place of.
  if (file === undefined) return { reason, isFull };
  return { reason, isFull, file: path.resolve(directory, file) };
}

function fileOf(disk: Disk): string | undefined {
  if (disk.kind === 'lazy') return disk.overlay;
  return disk.kind === 'file' ? disk.path : undefined;
}
