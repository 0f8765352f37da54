import { isZero } from '../codec/zero.ts';

/*
 * CD images with a few small files, as ECMA-119 (ISO 9660) has them, without extensions: Linux shows their names in
 * small letters (isofs, `map=normal`), and that is all that a seed of cloud-init needs. Numbers are there twice, in
 * both orders of bytes.
 */

const SECTOR_BYTES = 2048;
const DESCRIPTOR_AT = 16;
const END_AT = 17;
const LITTLE_PATHS_AT = 18;
const BIG_PATHS_AT = 19;
const ROOT_AT = 20;
const FILES_AT = 21;
const PATHS_BYTES = 10;
const RECORD_BYTES = 33;
const ROOT_RECORD_BYTES = 34;
const IS_DIRECTORY = 2;

/** A file of a CD image: its name in small letters, and its content. */
export interface IsoFile {
  readonly name: string;
  readonly content: Uint8Array;
}

/**
 * A CD image. @param label of 32 characters at most. @param files all in one directory, few enough for one sector of
 * names.
 */
export function writeIso(label: string, files: readonly IsoFile[]): Buffer {
  let sector = FILES_AT;
  const placed = files
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map((file) => {
      const at = sector;
      sector += sectorsOf(file.content.length);
      return { ...file, at };
    });
  const image = Buffer.alloc(sector * SECTOR_BYTES);
  const place = (at: number, bytes: Uint8Array): void => image.set(bytes, at * SECTOR_BYTES);
  place(DESCRIPTOR_AT, volumeDescriptor(label, sector));
  place(END_AT, Buffer.from('\xffCD001\x01', 'latin1'));
  place(LITTLE_PATHS_AT, pathTable('little'));
  place(BIG_PATHS_AT, pathTable('big'));
  const root = ['\0', '\x01'].map((name) => record(name, ROOT_AT, SECTOR_BYTES, IS_DIRECTORY));
  const records = placed.map(({ name, at, content }) => record(`${name.toUpperCase()};1`, at, content.length, 0));
  place(ROOT_AT, Buffer.concat([...root, ...records]));
  for (const { at, content } of placed) place(at, content);
  return image;
}

/**
 * The files of an image that {@link writeIso} made, or another tool made alike. @returns undefined for what is none.
 */
export function readIso(image: Uint8Array): IsoFile[] | undefined {
  const bytes = Buffer.from(image.buffer, image.byteOffset, image.byteLength);
  const descriptor = sectorAt(bytes, DESCRIPTOR_AT, SECTOR_BYTES);
  if (descriptor?.toString('latin1', 1, 6) !== 'CD001') return undefined;
  const root = sectorAt(bytes, descriptor.readUInt32LE(156 + 2), descriptor.readUInt32LE(156 + 10));
  if (root === undefined || isZero(root)) return undefined;
  const files: IsoFile[] = [];
  for (let at = 0; at + RECORD_BYTES < root.length; ) {
    const length = root.readUInt8(at);
    if (length === 0) break;
    if (length < RECORD_BYTES || at + length > root.length) return undefined;
    const nameLength = Math.min(root.readUInt8(at + 32), length - RECORD_BYTES);
    const name = root.toString('latin1', at + RECORD_BYTES, at + RECORD_BYTES + nameLength);
    const content = sectorAt(bytes, root.readUInt32LE(at + 2), root.readUInt32LE(at + 10));
    if (content === undefined) return undefined;
    if ((root.readUInt8(at + 25) & IS_DIRECTORY) === 0) {
      files.push({ name: name.toLowerCase().replace(/\.?;1$/, ''), content });
    }
    at += length;
  }
  return files;
}

function sectorAt(image: Buffer, sector: number, length: number): Buffer | undefined {
  const at = sector * SECTOR_BYTES;
  return at + length <= image.length ? image.subarray(at, at + length) : undefined;
}

function sectorsOf(bytes: number): number {
  return Math.ceil(bytes / SECTOR_BYTES);
}

/** ECMA-119 §8.4. The dates are none: a seed says nothing of when it was made. */
function volumeDescriptor(label: string, sectors: number): Buffer {
  const descriptor = Buffer.alloc(SECTOR_BYTES);
  descriptor.write('\x01CD001\x01', 0, 'latin1');
  descriptor.fill(' ', 8, 72);
  descriptor.write(label, 40, 32, 'latin1');
  both32(descriptor, 80, sectors);
  both16(descriptor, 120, 1);
  both16(descriptor, 124, 1);
  both16(descriptor, 128, SECTOR_BYTES);
  both32(descriptor, 132, PATHS_BYTES);
  descriptor.writeUInt32LE(LITTLE_PATHS_AT, 140);
  descriptor.writeUInt32BE(BIG_PATHS_AT, 148);
  record('\0', ROOT_AT, SECTOR_BYTES, IS_DIRECTORY).copy(descriptor, 156);
  descriptor.fill(' ', 190, 813);
  for (const at of [813, 830, 847, 864]) descriptor.fill('0', at, at + 16);
  descriptor.writeUInt8(1, 881);
  return descriptor;
}

/** ECMA-119 §9.4: of the root alone. */
function pathTable(order: 'little' | 'big'): Buffer {
  const table = Buffer.alloc(PATHS_BYTES);
  table.writeUInt8(1, 0);
  if (order === 'little') {
    table.writeUInt32LE(ROOT_AT, 2);
    table.writeUInt16LE(1, 6);
  } else {
    table.writeUInt32BE(ROOT_AT, 2);
    table.writeUInt16BE(1, 6);
  }
  return table;
}

/** ECMA-119 §9.1. */
function record(name: string, sector: number, bytes: number, flags: number): Buffer {
  const length = RECORD_BYTES + name.length;
  const made = Buffer.alloc(length + (length % 2));
  made.writeUInt8(name === '\0' ? ROOT_RECORD_BYTES : made.length, 0);
  both32(made, 2, sector);
  both32(made, 10, bytes);
  // 1 January 1970: years since 1900, month, day.
  made.set([70, 1, 1], 18);
  made.writeUInt8(flags, 25);
  both16(made, 28, 1);
  made.writeUInt8(name.length, 32);
  made.write(name, RECORD_BYTES, 'latin1');
  return made;
}

function both32(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt32LE(value, at);
  bytes.writeUInt32BE(value, at + 4);
}

function both16(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt16LE(value, at);
  bytes.writeUInt16BE(value, at + 2);
}
