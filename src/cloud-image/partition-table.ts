import type { DiskReader } from './disk-reader.ts';

const SIGNATURE = 'EFI PART';
/** Disks have sectors of one of these sizes, in bytes. */
const SECTOR_SIZES = [512, 4096] as const;
const HEADER_BYTES = 92;
/** More than any tool makes. */
const MOST_ENTRIES = 256;
const LEAST_ENTRY_BYTES = 128;
const MOST_ENTRY_BYTES = 4096;

const MBR_TABLE_AT = 446;
const MBR_ENTRY_BYTES = 16;
/** In the old table: all of the disk is in the new one. */
const MBR_PROTECTIVE = 0xee;

/** Types that people ask for, by their GUIDs (UEFI Specification §5.3.3, and those who registered theirs). */
const TYPE_NAMES: ReadonlyMap<string, string> = new Map([
  ['c12a7328-f81f-11d2-ba4b-00a0c93ec93b', 'EFI system'],
  ['21686148-6449-6e6f-744e-656564454649', 'BIOS boot'],
  ['0fc63daf-8483-4772-8e79-3d69d8477de4', 'Linux'],
  ['4f68bce3-e8cd-4db1-96e7-fbcaf984b709', 'Linux root (amd64)'],
  ['b921b045-1df0-41c3-af44-4c6f280d3fae', 'Linux root (arm64)'],
  ['bc13c2ff-59e6-4262-a352-b275fd6f7172', 'Linux boot'],
  ['0657fd6d-a4ab-43c4-84e5-0933c84b4f4f', 'Linux swap'],
  ['e6d6d379-f507-44c2-a23c-238f2a3df928', 'Linux LVM'],
  ['7c3457ef-0000-11aa-aa11-00306543ecac', 'APFS'],
  ['69646961-6700-11aa-aa11-00306543ecac', 'Apple boot (iSC)'],
  ['52637672-7900-11aa-aa11-00306543ecac', 'Apple recovery'],
  ['ebd0a0a2-b9e5-4433-87c0-68b6b72699c7', 'Microsoft basic data'],
]);

/** One partition of a disk. */
export interface Partition {
  /** As systems count them, from 1. */
  readonly number: number;
  /** A GUID, or of the old table two hex digits. */
  readonly type: string;
  /** What that is, where it is known. */
  readonly typeName: string | null;
  /** Which it was given; null in the old table. Not trusted: it may have whatever characters. */
  readonly label: string | null;
  /** Bytes from the beginning of the disk. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

/** How a disk is divided. `none`: there is no table, or one that cannot be true. */
export interface PartitionTable {
  readonly kind: 'gpt' | 'mbr' | 'none';
  readonly partitions: readonly Partition[];
}

/** Reads the table of a disk, of which nothing is trusted. @throws what `read` throws. */
export async function readPartitionTable(read: DiskReader): Promise<PartitionTable> {
  for (const sectorBytes of SECTOR_SIZES) {
    const header = await read(sectorBytes, HEADER_BYTES);
    if (header.length === HEADER_BYTES && header.toString('latin1', 0, 8) === SIGNATURE) {
      return { kind: 'gpt', partitions: await inGpt(read, header, sectorBytes) };
    }
  }
  const sector = await read(0, 512);
  if (sector.length < 512 || sector.readUInt16LE(510) !== 0xaa55) return { kind: 'none', partitions: [] };
  const partitions = inMbr(sector);
  return { kind: partitions.length === 0 ? 'none' : 'mbr', partitions };
}

async function inGpt(read: DiskReader, header: Buffer, sectorBytes: number): Promise<Partition[]> {
  const tableAt = Number(header.readBigUInt64LE(72)) * sectorBytes;
  const count = Math.min(header.readUInt32LE(80), MOST_ENTRIES);
  const entryBytes = header.readUInt32LE(84);
  if (entryBytes < LEAST_ENTRY_BYTES || entryBytes > MOST_ENTRY_BYTES) return [];
  const table = await read(tableAt, count * entryBytes);
  const found: Partition[] = [];
  for (let at = 0; at + LEAST_ENTRY_BYTES <= table.length; at += entryBytes) {
    const type = guid(table.subarray(at, at + 16));
    const [first, last] = [table.readBigUInt64LE(at + 32), table.readBigUInt64LE(at + 40)];
    const [offset, size] = [Number(first) * sectorBytes, Number(last - first + 1n) * sectorBytes];
    // An entry of zeros is free; one that ends before it begins, or beyond all numbers, cannot be true.
    if (/^[0-]+$/.test(type) || size <= 0 || !Number.isSafeInteger(offset + size)) continue;
    const label = table.toString('utf16le', at + 56, at + 128).replace(/\0.*$/s, '');
    found.push({ number: at / entryBytes + 1, type, typeName: TYPE_NAMES.get(type) ?? null, label, offset, size });
  }
  return found;
}

/** The first three parts of a GUID are numbers, and lie on the disk with their lowest byte first. */
function guid(bytes: Buffer): string {
  const hex = (from: number, to: number): string => bytes.toString('hex', from, to);
  const reversed = (from: number, to: number): string =>
    Buffer.from(bytes.subarray(from, to)).reverse().toString('hex');
  return [reversed(0, 4), reversed(4, 6), reversed(6, 8), hex(8, 10), hex(10, 16)].join('-');
}

function inMbr(sector: Buffer): Partition[] {
  return [0, 1, 2, 3].flatMap((index) => {
    const at = MBR_TABLE_AT + index * MBR_ENTRY_BYTES;
    const type = sector.readUInt8(at + 4);
    const [offset, size] = [sector.readUInt32LE(at + 8) * 512, sector.readUInt32LE(at + 12) * 512];
    if (type === 0 || type === MBR_PROTECTIVE || size === 0) return [];
    return { number: index + 1, type: type.toString(16).padStart(2, '0'), typeName: null, label: null, offset, size };
  });
}
