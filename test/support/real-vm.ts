import { createCipheriv } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { expect } from 'vitest';
import type { Workplace } from './real-command.ts';

const MIB = 1024 * 1024;

/** Bytes that do not compress, always the same for a seed. */
function noise(bytes: number, seed: number): Buffer {
  return createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16)).update(Buffer.alloc(bytes));
}

/**
 * Creates a Linux VM with the command, and gives it a disk with data, text and holes. Its size is no round number on
 * purpose.
 */
export async function createVm(workplace: Workplace, name: string, diskMib = 48): Promise<void> {
  const { exitCode, stderr } = await workplace.run('create', '--linux', '--disk-size', '1', name);
  expect([exitCode, stderr]).toEqual([0, '']);
  writeDisk(`${workplace.vmDirectory(name)}/disk.img`, diskMib * MIB + 1536);
}

/** Text at the beginning, noise in the middle and at the very end, holes between. */
function writeDisk(file: string, bytes: number): void {
  const disk = openSync(file, 'r+');
  try {
    ftruncateSync(disk, 0);
    ftruncateSync(disk, bytes);
    writeSync(disk, 'a partition table, more or less\n'.repeat(4096), 0);
    const piece = Math.min(8 * MIB, Math.floor(bytes / 4));
    const middle = noise(piece, 1);
    writeSync(disk, middle, 0, middle.length, Math.floor(bytes / 2) + 777);
    const end = noise(4096, 2);
    writeSync(disk, end, 0, end.length, bytes - end.length);
  } finally {
    closeSync(disk);
  }
}

/** Replaces the disk of a VM by so many MiB of noise: no two chunks of it are alike. */
export function fillDisk(workplace: Workplace, name: string, mib: number, seed = 3): void {
  writeFileSync(`${workplace.vmDirectory(name)}/disk.img`, noise(mib * MIB, seed));
}
