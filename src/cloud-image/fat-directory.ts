import type { DiskReader } from './disk-reader.ts';

/** Entries of a directory (FAT specification §6). */
const ENTRY_BYTES = 32;
const DIRECTORY = 0x10;
const VOLUME_LABEL = 0x08;
/** So many clusters of a directory are followed at most: a chain may be a cycle. */
const MOST_CLUSTERS = 256;

/**
 * A FAT file system, as far as its directories need it (Microsoft FAT32 File System Specification §3). All places in
 * bytes of the disk.
 */
interface FatVolume {
  readonly bits: 12 | 16 | 32;
  readonly tableAt: number;
  readonly clusterBytes: number;
  readonly clustersAt: number;
  readonly root: Place;
}

/**
 * Where the content of a directory is: a place of its own, as the root of FAT12 and FAT16 has, or a chain of clusters.
 */
type Place =
  | { readonly kind: 'fixed'; readonly at: number; readonly bytes: number }
  | { readonly kind: 'chain'; readonly cluster: number };

interface Entry {
  /** In capitals, with a dot, 8 and 3 characters at most. */
  readonly name: string;
  readonly isDirectory: boolean;
  readonly cluster: number;
}

/**
 * The names in a directory of a FAT file system, in capitals and in their short form.
 *
 * @param start of the file system, in bytes.
 * @param path names of directories, in capitals.
 * @returns nothing where there is no such file system, or no such directory.
 */
export async function namesInFat(read: DiskReader, start: number, path: readonly string[]): Promise<string[]> {
  const volume = volumeOf(await read(start, 512), start);
  if (volume === undefined) return [];
  let entries = await entriesOf(read, volume, volume.root);
  for (const name of path) {
    const next = entries.find((entry) => entry.isDirectory && entry.name === name);
    if (next === undefined) return [];
    entries = await entriesOf(read, volume, { kind: 'chain', cluster: next.cluster });
  }
  return entries.map(({ name }) => name);
}

function volumeOf(sector: Buffer, start: number): FatVolume | undefined {
  if (sector.length < 512 || sector.readUInt16LE(510) !== 0xaa55) return undefined;
  const sectorBytes = sector.readUInt16LE(11);
  const clusterSectors = sector.readUInt8(13);
  if (![512, 1024, 2048, 4096].includes(sectorBytes) || clusterSectors === 0) return undefined;
  const reserved = sector.readUInt16LE(14);
  const tables = sector.readUInt8(16);
  const rootBytes = sector.readUInt16LE(17) * ENTRY_BYTES;
  const sectors = sector.readUInt16LE(19) || sector.readUInt32LE(32);
  const tableSectors = sector.readUInt16LE(22) || sector.readUInt32LE(36);
  const rootSectors = Math.ceil(rootBytes / sectorBytes);
  const rootAt = start + (reserved + tables * tableSectors) * sectorBytes;
  const clusters = Math.floor((sectors - reserved - tables * tableSectors - rootSectors) / clusterSectors);
  // By the number of clusters and nothing else (specification §3.5).
  const bits = clusters < 4085 ? 12 : clusters < 65_525 ? 16 : 32;
  return {
    bits,
    tableAt: start + reserved * sectorBytes,
    clusterBytes: clusterSectors * sectorBytes,
    clustersAt: rootAt + rootSectors * sectorBytes,
    root:
      rootBytes === 0
        ? { kind: 'chain', cluster: sector.readUInt32LE(44) }
        : { kind: 'fixed', at: rootAt, bytes: rootBytes },
  };
}

async function entriesOf(read: DiskReader, volume: FatVolume, place: Place): Promise<Entry[]> {
  if (place.kind === 'fixed') return parseEntries(await read(place.at, place.bytes));
  const pieces: Buffer[] = [];
  let cluster: number | undefined = place.cluster;
  for (let count = 0; cluster !== undefined && count < MOST_CLUSTERS; count += 1) {
    const piece = await read(volume.clustersAt + (cluster - 2) * volume.clusterBytes, volume.clusterBytes);
    if (piece.length === 0) break;
    pieces.push(piece);
    cluster = await nextCluster(read, volume, cluster);
  }
  return parseEntries(Buffer.concat(pieces));
}

/** @returns undefined at the end of the chain, and for what cannot be a cluster. */
async function nextCluster(
  read: DiskReader,
  { bits, tableAt }: FatVolume,
  cluster: number,
): Promise<number | undefined> {
  const entry = await read(tableAt + Math.floor((cluster * bits) / 8), bits === 32 ? 4 : 2);
  if (entry.length < (bits === 32 ? 4 : 2)) return undefined;
  const next = numberIn(entry, bits, cluster);
  // The last of a chain, bad ones and reserved ones are the highest numbers.
  const end = bits === 12 ? 0xff0 : bits === 16 ? 0xfff0 : 0x0fff_fff0;
  return next < 2 || next >= end ? undefined : next;
}

function numberIn(entry: Buffer, bits: FatVolume['bits'], cluster: number): number {
  if (bits === 32) return entry.readUInt32LE(0) & 0x0fff_ffff;
  const pair = entry.readUInt16LE(0);
  if (bits === 16) return pair;
  return cluster % 2 === 0 ? pair & 0xfff : pair >>> 4;
}

function parseEntries(directory: Buffer): Entry[] {
  const entries: Entry[] = [];
  for (let at = 0; at + ENTRY_BYTES <= directory.length; at += ENTRY_BYTES) {
    const first = directory[at];
    if (first === 0) break;
    const attributes = directory.readUInt8(at + 11);
    // Deleted, the name of the disk, or a part of a long name, which has this bit as well.
    if (first === 0xe5 || (attributes & VOLUME_LABEL) !== 0) continue;
    const stem = directory.toString('latin1', at, at + 8).trimEnd();
    const extension = directory.toString('latin1', at + 8, at + 11).trimEnd();
    entries.push({
      name: (extension === '' ? stem : `${stem}.${extension}`).toUpperCase(),
      isDirectory: (attributes & DIRECTORY) !== 0,
      cluster: directory.readUInt16LE(at + 20) * 0x1_0000 + directory.readUInt16LE(at + 26),
    });
  }
  return entries;
}
