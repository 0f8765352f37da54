import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { emptyEfiStore, identifyEfiStore } from '../../src/vm/efi-store.ts';
import { describeWithParts } from '../support/real-parts.ts';

/** Templates from Debian's packages `ovmf` and `qemu-efi-aarch64`. */
const OVMF = '/usr/share/OVMF/OVMF_VARS_4M.fd';
const OVMF_MICROSOFT = '/usr/share/OVMF/OVMF_VARS_4M.ms.fd';
const OVMF_2M = '/usr/share/OVMF/OVMF_VARS.fd';
const AAVMF_MICROSOFT = '/usr/share/AAVMF/AAVMF_VARS.ms.fd';

function hex(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.subarray(from, to)).toString('hex');
}

/** The ranges that are not erased. */
function written(store: Uint8Array): string[] {
  const ranges: string[] = [];
  for (let at = 0; at < store.length; at += 1) {
    if (store[at] === 0xff) continue;
    const from = at;
    // A header may hold single bytes of 0xff: a range ends where 64 of them follow.
    while (at < store.length && !store.subarray(at, at + 64).every((byte) => byte === 0xff)) at += 1;
    ranges.push(`${from.toString(16)}-${at.toString(16)}`);
  }
  return ranges;
}

function checksum(store: Uint8Array): number {
  const header = Buffer.from(store.subarray(0, 0x48));
  return Array.from({ length: 36 }, (_, index) => header.readUInt16LE(index * 2)).reduce((a, b) => a + b, 0) & 0xffff;
}

describe('an empty store for arm64 (edk2 ArmVirtPkg/VarStore.fdf.inc)', () => {
  const store = emptyEfiStore('arm64');

  it('is three blocks of 256 KiB', () => {
    expect(store.length).toBe(786_432);
    expect(written(store)).toEqual(['0-64', '40000-40020']);
  });

  it('begins with the volume header', () => {
    expect(hex(store, 0, 0x48)).toBe(
      `${'00'.repeat(16)}8d2bf1ff96768b4ca9852747075b4f50` +
        '00000c0000000000' +
        '5f465648fffe0400' +
        '4800280900000002' +
        '0300000000000400' +
        '0000000000000000',
    );
    expect(checksum(store)).toBe(0);
  });

  it('goes on with the header of the variables and nothing behind it', () => {
    expect(hex(store, 0x48, 0x64)).toBe('782cf3aa7b949a43a1802e144ec37792b8ff03005afe000000000000');
    expect(store.subarray(0x64, 0x40000).every((byte) => byte === 0xff)).toBe(true);
  });

  it('has a valid working block and an erased spare block', () => {
    expect(hex(store, 0x40000, 0x40020)).toBe('2b29589e687c7d49a0ce6500fd9f1b955be7c686feffffffe0ff030000000000');
    expect(store.subarray(0x40020).every((byte) => byte === 0xff)).toBe(true);
  });
});

describe('an empty store for amd64 (edk2 OvmfPkg/VarStore.fdf.inc, 4 MiB layout)', () => {
  const store = emptyEfiStore('amd64');

  it('has the size, the headers and nothing else', () => {
    expect(store.length).toBe(540_672);
    expect(written(store)).toEqual(['0-64', '41000-41020']);
    expect(hex(store, 0, 0x64)).toBe(
      `${'00'.repeat(16)}8d2bf1ff96768b4ca9852747075b4f50` +
        '0040080000000000' +
        '5f465648fffe0400' +
        '4800afb800000002' +
        '8400000000100000' +
        '0000000000000000' +
        '782cf3aa7b949a43a1802e144ec37792b8ff03005afe000000000000',
    );
    expect(hex(store, 0x41000, 0x41020)).toBe('2b29589e687c7d49a0ce6500fd9f1b952caf2c64feffffffe00f000000000000');
    expect(checksum(store)).toBe(0);
  });

  it('is byte for byte what Debian ships as the template', () => {
    expect(createHash('sha256').update(store).digest('hex')).toBe(
      '5d2ac383371b408398accee7ec27c8c09ea5b74a0de0ceea6513388b15be5d1e',
    );
  });
});

describeWithParts("Debian's templates", ['ovmf', 'qemu-efi-aarch64'], () => {
  it('an empty store for amd64 is the one of OVMF', () => {
    expect(Buffer.compare(Buffer.from(emptyEfiStore('amd64')), readFileSync(OVMF))).toBe(0);
  });

  it('an empty store for arm64 has the working block that the firmware itself writes', () => {
    expect(hex(emptyEfiStore('arm64'), 0x40000, 0x40020)).toBe(hex(readFileSync(AAVMF_MICROSOFT), 0x40000, 0x40020));
  });

  it.each([OVMF, OVMF_MICROSOFT, OVMF_2M, AAVMF_MICROSOFT])('%s is edk2', (file) => {
    expect(identifyEfiStore(readFileSync(file))).toBe('edk2');
  });
});

describe('telling stores apart', () => {
  it('ours are edk2, alone and in a flash padded for QEMU', () => {
    expect(identifyEfiStore(emptyEfiStore('arm64'))).toBe('edk2');
    expect(identifyEfiStore(emptyEfiStore('amd64'))).toBe('edk2');
    const padded = new Uint8Array(2 * 1024 * 1024);
    padded.set(emptyEfiStore('arm64'));
    expect(identifyEfiStore(padded)).toBe('edk2');
  });

  it('one without authenticated variables is edk2 too', () => {
    const store = emptyEfiStore('amd64');
    store.set(Buffer.from('1636cfdd7532644198b6fe85707ffe7d', 'hex'), 0x48);
    expect(identifyEfiStore(store)).toBe('edk2');
  });

  it.each([
    ['nothing', 0, 0],
    ['Apple: as long as its stores are', 131_072, 0],
    ['erased flash', 131_072, 0xff],
    ['less than a header', 0x47, 0],
  ])('%s is unknown', (_, length, fill) => {
    expect(identifyEfiStore(new Uint8Array(length).fill(fill))).toBe('unknown');
  });

  it.each([
    ['the signature', 0x28],
    ['the volume GUID', 0x10],
    ['a checksummed byte', 0x2c],
    ['the length', 0x23],
    ['the header length', 0x31],
    ['the store GUID', 0x48],
    ['the formatted mark', 0x5c],
  ])('a store with %s damaged is unknown', (_, at) => {
    const store = emptyEfiStore('amd64');
    store[at] = (store[at] ?? 0) ^ 0x81;
    expect(identifyEfiStore(store)).toBe('unknown');
  });

  it.each([0, 0x30, 0x47, 0x48, 0x63, 0x64, 0x83fff])('a store cut after %i bytes is unknown', (length) => {
    expect(identifyEfiStore(emptyEfiStore('amd64').subarray(0, length))).toBe('unknown');
  });
});
