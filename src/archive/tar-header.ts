import { brokenArchive } from './archive-error.ts';

/** Everything in a tar file comes in blocks of so many bytes. */
export const TAR_BLOCK_BYTES = 512;

/** The largest size that eleven octal digits can say. */
const MAX_OCTAL_SIZE = 0o77777777777;

/** Where the fields of a header are: POSIX.1-2017, pax, "ustar Interchange Format". */
const FIELD = {
  name: [0, 100],
  size: [124, 136],
  checksum: [148, 156],
  type: [156, 157],
  magic: [257, 263],
  prefix: [345, 500],
} as const;

type Field = (typeof FIELD)[keyof typeof FIELD];

/** What a header announces. Only the first two are things; the others say more about the entry that follows. */
export type TarEntryKind = 'file' | 'directory' | 'link' | 'pax' | 'global-pax' | 'long-name';

export interface TarHeader {
  readonly kind: TarEntryKind;
  /** As written, neither checked nor cleaned. */
  readonly name: string;
  /** Bytes of data that follow. */
  readonly size: number;
}

/**
 * Reads one header block.
 *
 * @param archive for the message.
 * @returns undefined for a block of zeros, the end of the archive.
 * @throws TartletError `ARCHIVE_INVALID` for what is no header, and for every entry that is neither a file, a directory
 * nor a symlink.
 */
export function parseTarHeader(block: Buffer, archive: string): TarHeader | undefined {
  if (block.every((byte) => byte === 0)) return undefined;
  const magic = text(block, FIELD.magic);
  // `ustar` is POSIX, `ustar  ` is old GNU tar. What came before both cannot say what it is.
  if (magic !== 'ustar' && magic !== 'ustar ') throw brokenArchive(archive, 'it is not a tar file, or it is damaged');
  if (octal(block, FIELD.checksum) !== checksum(block)) throw brokenArchive(archive, 'a header in it is damaged');
  const name = text(block, FIELD.name);
  // Old GNU tar keeps times where POSIX has the prefix.
  const prefix = magic === 'ustar' ? text(block, FIELD.prefix) : '';
  const size = parseSize(block);
  if (size === undefined) throw brokenArchive(archive, 'an entry in it has no usable size');
  return { kind: parseKind(block, archive), name: prefix === '' ? name : `${prefix}/${name}`, size };
}

function parseKind(block: Buffer, archive: string): TarEntryKind {
  const type = String.fromCharCode(block[FIELD.type[0]] ?? 0);
  switch (type) {
    case '0':
    case '\0':
      return 'file';
    case '5':
      return 'directory';
    case 'x':
      return 'pax';
    case 'g':
      return 'global-pax';
    case 'L':
      return 'long-name';
    case '1':
    case '2':
      return 'link';
    default:
      throw brokenArchive(archive, 'it holds something that is neither a file nor a directory');
  }
}

/** Octal digits, or GNU's big-endian number behind a byte of 0x80. */
function parseSize(block: Buffer): number | undefined {
  const [from, to] = FIELD.size;
  if (block[from] !== 0x80) return octal(block, FIELD.size);
  const value = block.subarray(from + 1, to).reduce((sum, byte) => sum * 256 + byte, 0);
  return Number.isSafeInteger(value) ? value : undefined;
}

function octal(block: Buffer, field: Field): number | undefined {
  const digits = text(block, field).trim();
  return /^[0-7]{1,12}$/.test(digits) ? Number.parseInt(digits, 8) : undefined;
}

function text(block: Buffer, [from, to]: Field): string {
  const field = block.subarray(from, to);
  const end = field.indexOf(0);
  return field.subarray(0, end < 0 ? field.length : end).toString('utf8');
}

/** The sum of all bytes, with blanks where the sum itself stands. */
function checksum(block: Buffer): number {
  const [from, to] = FIELD.checksum;
  return block.reduce((sum, byte, at) => sum + (at >= from && at < to ? 0x20 : byte), 0);
}

/**
 * The header of an entry, in the fewest words: no owner, and the time is the beginning of time, so that the same
 * content always makes the same archive. A size beyond 8 GiB is said in a pax header before it.
 *
 * @param name at most 100 bytes.
 */
export function tarHeader(kind: 'file' | 'directory', name: string, size: number): Buffer {
  if (size <= MAX_OCTAL_SIZE) return headerBlock(kind === 'file' ? '0' : '5', name, size);
  const record = paxRecord('size', String(size));
  // A reader that knows no pax headers fails on a size of 0; one that does never looks at it.
  return Buffer.concat([
    headerBlock('x', 'pax', record.length),
    record,
    tarPadding(record.length),
    headerBlock('0', name, 0),
  ]);
}

/** The zeros that fill the last block of an entry. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((TAR_BLOCK_BYTES - (size % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES);
}

function headerBlock(type: '0' | '5' | 'x', name: string, size: number): Buffer {
  const block = Buffer.alloc(TAR_BLOCK_BYTES);
  block.write(name, 0, 'utf8');
  block.write(type === '5' ? '0000755\0' : '0000644\0', 100, 'latin1');
  block.write('0000000\0', 108, 'latin1');
  block.write('0000000\0', 116, 'latin1');
  block.write(`${size.toString(8).padStart(11, '0')}\0`, FIELD.size[0], 'latin1');
  block.write('00000000000\0', 136, 'latin1');
  block.write(type, FIELD.type[0], 'latin1');
  block.write('ustar\x0000', FIELD.magic[0], 'latin1');
  block.write(`${checksum(block).toString(8).padStart(6, '0')}\0 `, FIELD.checksum[0], 'latin1');
  return block;
}

/** `27 size=…\n`: the number counts itself. */
function paxRecord(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length;
  while (`${length}${rest}`.length !== length) length = `${length}${rest}`.length;
  return Buffer.from(`${length}${rest}`);
}

/**
 * Reads the records of a pax header.
 *
 * @returns undefined when it is none.
 */
export function parsePaxRecords(bytes: Buffer): ReadonlyMap<string, string> | undefined {
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.length; ) {
    const digits = /^[0-9]{1,10}(?= )/.exec(bytes.toString('latin1', at, at + 11))?.[0];
    const end = at + Number(digits);
    const record = digits === undefined ? '' : bytes.toString('utf8', at + digits.length + 1, end);
    const equals = record.indexOf('=');
    if (end > bytes.length || !record.endsWith('\n') || equals < 1) return undefined;
    records.set(record.slice(0, equals), record.slice(equals + 1, -1));
    at = end;
  }
  return records;
}
