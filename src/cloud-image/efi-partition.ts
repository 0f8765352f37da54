import type { DiskReader } from './disk-reader.ts';

/** C12A7328-F81F-11D2-BA4B-00A0C93EC93B as it lies on the disk (UEFI Specification §5.3.3). */
const EFI_TYPE = Buffer.from('28732ac11ff8d211ba4b00a0c93ec93b', 'hex');
const SIGNATURE = 'EFI PART';
/** Disks have sectors of one of these sizes, in bytes. */
const SECTOR_SIZES = [512, 4096] as const;
/** More than any tool makes. */
const MOST_ENTRIES = 256;
const LEAST_ENTRY_BYTES = 128;
const MOST_ENTRY_BYTES = 4096;

/** EFI in the old table of partitions. */
const MBR_EFI = 0xef;
const MBR_TABLE_AT = 446;
const MBR_ENTRY_BYTES = 16;

/** Where the EFI partitions of a disk begin, in bytes. None where there is no table, or one that cannot be true. */
export async function efiPartitions(read: DiskReader): Promise<number[]> {
  for (const sectorBytes of SECTOR_SIZES) {
    const header = await read(sectorBytes, 92);
    if (header.length === 92 && header.toString('latin1', 0, 8) === SIGNATURE) return inGpt(read, header, sectorBytes);
  }
  return inMbr(await read(0, 512));
}

async function inGpt(read: DiskReader, header: Buffer, sectorBytes: number): Promise<number[]> {
  const tableAt = Number(header.readBigUInt64LE(72)) * sectorBytes;
  const count = Math.min(header.readUInt32LE(80), MOST_ENTRIES);
  const entryBytes = header.readUInt32LE(84);
  if (entryBytes < LEAST_ENTRY_BYTES || entryBytes > MOST_ENTRY_BYTES) return [];
  const table = await read(tableAt, count * entryBytes);
  const found: number[] = [];
  for (let at = 0; at + LEAST_ENTRY_BYTES <= table.length; at += entryBytes) {
    if (!table.subarray(at, at + 16).equals(EFI_TYPE)) continue;
    found.push(Number(table.readBigUInt64LE(at + 32)) * sectorBytes);
  }
  return found;
}

function inMbr(sector: Buffer): number[] {
  if (sector.length < 512) return [];
  return [0, 1, 2, 3]
    .map((index) => MBR_TABLE_AT + index * MBR_ENTRY_BYTES)
    .filter((at) => sector[at + 4] === MBR_EFI)
    .map((at) => sector.readUInt32LE(at + 8) * 512);
}
