import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, readSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { fillDemoDisk } from '../../../src/cli/demo/demo-disk.ts';
import { guestProgram, startOfDisk, sumOf } from '../../../src/cli/demo/demo-guest.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { describeWithParts } from '../../support/real-parts.ts';

const MIB = 1024 ** 2;

describeWithParts('the guest of the demo', ['as', 'mformat'], () => {
  it('is what its source is assembled to', () => {
    const script = path.resolve(import.meta.dirname, '../../../scripts/demo-guest.mjs');
    expect(execFileSync(process.execPath, [script, '--check'], { encoding: 'utf8' })).toBe('');
  });

  it.each([16, 256])('lies where a firmware looks for it, in a file system of %i MiB that others read', (mib) => {
    const program = guestProgram([{ offset: MIB, length: 512, pauseUs: 0 }], 7n);
    const disk = `${temporaryDirectory()}/disk.img`;
    writeFileSync(disk, startOfDisk(mib * MIB, program));
    truncateSync(disk, mib * MIB);
    const read = execFileSync('mtype', ['-i', disk, '::/EFI/BOOT/BOOTX64.EFI']);
    expect(read.equals(program)).toBe(true);
  });
});

it('knows what it reads, and the sum of it', async () => {
  const disk = `${temporaryDirectory()}/disk.img`;
  writeFileSync(disk, '');
  truncateSync(disk, 32 * MIB);
  expect(await fillDemoDisk(disk, { bytes: 32 * MIB, places: 3 })).toBe(3 * 8 * 64 * 1024);
  // The program is the only file, and its table lies 8 KiB behind its beginning.
  const bytes = readFileSync(disk);
  const table = bytes.indexOf('MZ') + 0x2000;
  let sum = 0n;
  const places = new Set<number>();
  for (let at = table + 16; bytes.readBigUInt64LE(at + 8) > 0n; at += 24) {
    const offset = Number(bytes.readBigUInt64LE(at)) * 512;
    places.add(Math.floor(offset / MIB));
    sum += sumOf(readAt(disk, offset, Number(bytes.readBigUInt64LE(at + 8))));
  }
  expect(bytes.readBigUInt64LE(table)).toBe(BigInt.asUintN(64, sum));
  expect([...places]).toStrictEqual([1, 11, 21]);
});

it('refuses more reads than its table has room for', () => {
  const reads = Array.from({ length: 341 }, () => ({ offset: 0, length: 512, pauseUs: 0 }));
  expect(() => guestProgram(reads, 0n)).toThrow('341 reads are too many');
});

function readAt(file: string, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const handle = openSync(file, 'r');
  readSync(handle, bytes, 0, length, offset);
  closeSync(handle);
  return bytes;
}
