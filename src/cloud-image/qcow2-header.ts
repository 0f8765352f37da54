import { TartletError } from '../errors.ts';

/** Bytes of the header that are looked at. */
const HEADER_BYTES = 112;

/** Where the place and the length of a backing file's name end. */
const BACKING_FILE_END = 20;

/** Features that a reader has to know, by their bits; all others are of the future. */
const DIRTY = 1n;
const CORRUPT = 2n;
const DATA_FILE = 4n;
const OTHER_COMPRESSION = 8n;
const EXTENDED_L2 = 16n;
const KNOWN = DIRTY | CORRUPT | DATA_FILE | OTHER_COMPRESSION | EXTENDED_L2;

/**
 * Reads what matters of the header of a qcow2 image (docs/interop/qcow2.txt of QEMU) and refuses what would lead a
 * reader to other files: an image from elsewhere that names a backing file or a data file would bring the content of
 * any file of this machine into the disk of the guest.
 *
 * @param head the first bytes of the file, 112 or more.
 * @returns the size of the disk, in bytes.
 * @throws TartletError `MEDIA_UNSUPPORTED`
 */
export function qcow2DiskBytes(head: Uint8Array, name: string): number {
  const refuse = (why: string): TartletError =>
    new TartletError('MEDIA_UNSUPPORTED', `no VM can be made from ${name}: ${why}`, {
      subject: name,
      kept: 'nothing was made',
      next: { kind: 'choose-cloud-image' },
    });
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  if (bytes.length < HEADER_BYTES) throw refuse('its header is cut off');
  const why = whyNotAlone(bytes);
  if (why !== undefined) throw refuse(why);
  const size = bytes.readBigUInt64BE(24);
  if (size === 0n || size > BigInt(Number.MAX_SAFE_INTEGER)) throw refuse(`its disk has ${size} bytes`);
  return Number(size);
}

/**
 * Why a qcow2 image cannot be opened by itself, or leads to other files, in a sentence without a full stop; undefined
 * where it can. One that ends before it could name its backing file leads nowhere.
 *
 * @param head the first bytes of the file, 112 or more where it has so many. QEMU reads zeros behind its end.
 */
export function whyNotAlone(head: Uint8Array): string | undefined {
  if (head.length < BACKING_FILE_END) return undefined;
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.set(head.subarray(0, HEADER_BYTES));
  const version = bytes.readUInt32BE(4);
  if (version !== 2 && version !== 3) return `it has version ${version} of qcow2, and 2 and 3 are known`;
  if (bytes.readBigUInt64BE(8) !== 0n) return 'it is a difference to another file, its backing file';
  if (bytes.readUInt32BE(32) !== 0) return 'it is encrypted';
  const features = version === 2 ? 0n : bytes.readBigUInt64BE(72);
  if ((features & DATA_FILE) !== 0n) return 'its data is in another file';
  if ((features & CORRUPT) !== 0n) return 'it says of itself that it is damaged';
  return (features & ~KNOWN) === 0n ? undefined : 'it has features that are not known';
}
