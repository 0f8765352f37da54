import { GUEST_CODE } from './guest-code.ts';

/*
 * A disk that a machine with UEFI starts from, made of nothing: a FAT16 file system over all of it, in it one program
 * of 300 bytes (scripts/demo-guest/guest.s). The program reads what a table in it names, and turns the machine off.
 */

/** What the guest reads at one time. */
export interface GuestRead {
  /** Where, in bytes of the disk; a multiple of 512. */
  readonly offset: number;
  /** Bytes; a multiple of 512, and at most {@link MOST_READ_BYTES}. */
  readonly length: number;
  /** How long the guest is busy with it, in microseconds. */
  readonly pauseUs: number;
}

/** The guest's buffer. */
export const MOST_READ_BYTES = 64 * 1024;

const PAGE = 0x1000;
const CODE_AT = PAGE;
const TABLE_AT = 2 * PAGE;
const TABLE_BYTES = 2 * PAGE;
const ENTRY_BYTES = 24;
/** Most reads of a guest: what fits into its table, behind the sum and before the entry that ends it. */
const MOST_READS = Math.floor((TABLE_BYTES - 16) / ENTRY_BYTES) - 1;

/**
 * The guest's program.
 * @param sum of all that it reads, as little-endian numbers of 64 bits: what it compares with.
 */
export function guestProgram(reads: readonly GuestRead[], sum: bigint): Buffer {
  if (reads.length > MOST_READS) throw new RangeError(`${reads.length} reads are too many`);
  const file = Buffer.alloc(TABLE_AT + TABLE_BYTES);
  writeHeaders(file);
  file.set(Buffer.from(GUEST_CODE, 'base64'), CODE_AT);
  file.writeBigUInt64LE(BigInt.asUintN(64, sum), TABLE_AT);
  for (const [index, { offset, length, pauseUs }] of reads.entries()) {
    const at = TABLE_AT + 16 + index * ENTRY_BYTES;
    file.writeBigUInt64LE(BigInt(offset / SECTOR), at);
    file.writeBigUInt64LE(BigInt(length), at + 8);
    file.writeBigUInt64LE(BigInt(pauseUs), at + 16);
  }
  return file;
}

/** Headers of a PE32+ image for UEFI on x86-64: a section for code, and one for the table and the buffer behind it. */
function writeHeaders(file: Buffer): void {
  const imageBytes = TABLE_AT + TABLE_BYTES + MOST_READ_BYTES;
  file.write('MZ', 0, 'latin1');
  file.writeUInt32LE(0x40, 0x3c); // where the rest is
  file.write('PE\0\0', 0x40, 'latin1');
  const coff = 0x44;
  file.writeUInt16LE(0x8664, coff); // x86-64
  file.writeUInt16LE(2, coff + 2); // sections
  file.writeUInt16LE(OPTIONAL_BYTES, coff + 16);
  file.writeUInt16LE(0x22, coff + 18); // executable, large addresses
  const optional = coff + 20;
  file.writeUInt16LE(0x20b, optional); // PE32+
  file.writeUInt32LE(PAGE, optional + 4); // bytes of code
  file.writeUInt32LE(TABLE_BYTES, optional + 8);
  file.writeUInt32LE(MOST_READ_BYTES, optional + 12);
  file.writeUInt32LE(CODE_AT, optional + 16); // where it begins
  file.writeUInt32LE(CODE_AT, optional + 20);
  file.writeUInt32LE(PAGE, optional + 32); // sections lie in pages, in memory and in the file
  file.writeUInt32LE(PAGE, optional + 36);
  file.writeUInt32LE(imageBytes, optional + 56);
  file.writeUInt32LE(PAGE, optional + 60); // headers
  file.writeUInt16LE(10, optional + 68); // an application of UEFI
  file.writeUInt32LE(6, optional + 108); // data directories, all empty
  const code = { name: '.text', at: CODE_AT, fileBytes: PAGE, memoryBytes: PAGE, flags: 0x60000020 };
  const data = {
    name: '.data',
    at: TABLE_AT,
    fileBytes: TABLE_BYTES,
    memoryBytes: TABLE_BYTES + MOST_READ_BYTES,
    flags: 0xc0000040,
  };
  for (const [index, section] of [code, data].entries()) {
    const at = optional + OPTIONAL_BYTES + index * 40;
    file.write(section.name, at, 'latin1');
    file.writeUInt32LE(section.memoryBytes, at + 8);
    file.writeUInt32LE(section.at, at + 12);
    file.writeUInt32LE(section.fileBytes, at + 16);
    file.writeUInt32LE(section.at, at + 20);
    file.writeUInt32LE(section.flags, at + 36);
  }
}

const OPTIONAL_BYTES = 112 + 6 * 8;

const SECTOR = 512;
/** It is the number of clusters that makes a file system one of 16 bits: 4,085 to 65,524. */
const CLUSTERS = 32 * 1024;
const ROOT_ENTRIES = 512;
const LAST_CLUSTER = 0xffff;

/**
 * The beginning of a disk on which the firmware finds a program: file system, directories, the program.
 * @param diskBytes a multiple of 16 MiB, and at most 2 GiB.
 */
export function startOfDisk(diskBytes: number, program: Uint8Array): Buffer {
  const sectors = diskBytes / SECTOR;
  const clusterBytes = 2 ** Math.ceil(Math.log2(diskBytes / CLUSTERS));
  const fatSectors = Math.ceil(((diskBytes / clusterBytes + 2) * 2) / SECTOR);
  const rootAt = (1 + fatSectors) * SECTOR;
  const dataAt = rootAt + ROOT_ENTRIES * 32;
  const programClusters = Math.ceil(program.length / clusterBytes);
  const disk = Buffer.alloc(dataAt + (2 + programClusters) * clusterBytes);
  writeBootSector(disk, { sectors, fatSectors, clusterSectors: clusterBytes / SECTOR });
  const [efi, boot, file] = [2, 3, 4];
  const table = [0xfff8, LAST_CLUSTER, LAST_CLUSTER, LAST_CLUSTER];
  for (let each = 1; each <= programClusters; each += 1) {
    table.push(each === programClusters ? LAST_CLUSTER : file + each);
  }
  for (const [index, next] of table.entries()) disk.writeUInt16LE(next, SECTOR + index * 2);
  const clusterAt = (cluster: number): number => dataAt + (cluster - 2) * clusterBytes;
  writeEntry(disk, rootAt, { name: 'EFI        ', cluster: efi });
  for (const [at, here, parent] of [
    [clusterAt(efi), efi, 0],
    [clusterAt(boot), boot, efi],
  ] as const) {
    writeEntry(disk, at, { name: '.          ', cluster: here });
    writeEntry(disk, at + 32, { name: '..         ', cluster: parent });
  }
  writeEntry(disk, clusterAt(efi) + 64, { name: 'BOOT       ', cluster: boot });
  writeEntry(disk, clusterAt(boot) + 64, { name: 'BOOTX64 EFI', cluster: file, bytes: program.length });
  disk.set(program, clusterAt(file));
  return disk;
}

function writeBootSector(
  disk: Buffer,
  { sectors, fatSectors, clusterSectors }: Readonly<Record<'sectors' | 'fatSectors' | 'clusterSectors', number>>,
): void {
  disk.set([0xeb, 0x3c, 0x90]);
  disk.write('TARTLET ', 3, 'latin1');
  disk.writeUInt16LE(SECTOR, 11);
  disk.writeUInt8(clusterSectors, 13);
  disk.writeUInt16LE(1, 14); // the table follows this sector
  disk.writeUInt8(1, 16); // and there is one
  disk.writeUInt16LE(ROOT_ENTRIES, 17);
  disk.writeUInt8(0xf8, 21); // a disk that is not removable
  disk.writeUInt16LE(fatSectors, 22);
  disk.writeUInt16LE(63, 24); // a shape that no disk has had for long, and that is asked for
  disk.writeUInt16LE(255, 26);
  disk.writeUInt32LE(sectors, 32);
  disk.writeUInt8(0x80, 36);
  disk.writeUInt8(0x29, 38);
  disk.write('DEMO       FAT16   ', 43, 'latin1');
  disk.writeUInt16LE(0xaa55, 510);
}

/** An entry of a directory: another directory where it has no bytes. */
function writeEntry(
  disk: Buffer,
  at: number,
  { name, cluster, bytes }: { readonly name: string; readonly cluster: number; readonly bytes?: number },
): void {
  disk.write(name, at, 'latin1');
  disk.writeUInt8(bytes === undefined ? 0x10 : 0x20, at + 11);
  disk.writeUInt16LE(cluster, at + 26);
  disk.writeUInt32LE(bytes ?? 0, at + 28);
}

/** What a guest adds up. @param bytes a multiple of 8. */
export function sumOf(bytes: Buffer): bigint {
  let sum = 0n;
  for (let at = 0; at < bytes.length; at += 8) sum = BigInt.asUintN(64, sum + bytes.readBigUInt64LE(at));
  return sum;
}
