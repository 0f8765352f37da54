import { TartletError } from '../errors.ts';

/** So much of the beginning of a file tells what it is, in bytes: a CD tells it at 32 KiB. */
export const KIND_BYTES = 64 * 1024;

/** What a file with a cloud image is. */
export type ImageKind =
  /** The disk itself, byte for byte. */
  | { readonly kind: 'raw' }
  /** QEMU's format (docs/interop/qcow2.txt of QEMU). */
  | { readonly kind: 'qcow2' }
  /** An image, packed as a whole. */
  | { readonly kind: 'packed'; readonly by: Packing };

/** How an image is packed as a whole. */
export type Packing = 'gzip' | 'xz' | 'zstd';

interface Mark {
  readonly at: number;
  readonly bytes: Buffer;
}

function mark(bytes: string, at = 0): Mark {
  return { at, bytes: Buffer.from(bytes, 'latin1') };
}

const PACKED: readonly (readonly [Mark, Packing])[] = [
  [mark('\x1f\x8b'), 'gzip'],
  [mark('\xfd7zXZ\0'), 'xz'],
  [mark('\x28\xb5\x2f\xfd'), 'zstd'],
];

const QCOW2 = mark('QFI\xfb');

/**
 * Formats and files that people have instead, and what they are called. A CD for installing begins with a partition
 * table as well.
 */
const OTHERS: readonly (readonly [Mark, string])[] = [
  [mark('CD001', 0x8001), 'a CD image, from which a system is installed'],
  [mark('KDMV'), 'in the format VMDK of VMware'],
  [mark('# Disk DescriptorFile'), 'a description of a disk of VMware'],
  [mark('vhdxfile'), 'in the format VHDX of Hyper-V'],
  [mark('conectix'), 'in the format VHD of Hyper-V'],
  [mark('\x7f\x10\xda\xbe', 0x40), 'in the format VDI of VirtualBox'],
  [mark('shdw'), 'in the format ASIF of Apple'],
  [mark('PK\x03\x04'), 'a ZIP archive'],
  [mark('ustar', 0x101), 'a tar archive'],
  [mark('BZh'), 'packed by bzip2'],
];

/**
 * What ends the first sector of every disk that can be started, with a table of partitions of either kind (UEFI
 * Specification §5.2).
 */
const BOOT_SECTOR = mark('\x55\xaa', 510);

/**
 * Tells what a file is, by its first {@link KIND_BYTES}; its name says nothing.
 *
 * @param name of the file, for messages.
 * @throws TartletError `MEDIA_UNSUPPORTED` for everything that is no image of a disk here.
 */
export function kindOfImage(head: Uint8Array, name: string): ImageKind {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  const has = ({ at, bytes: expected }: Mark): boolean => bytes.subarray(at, at + expected.length).equals(expected);
  const packed = PACKED.find(([each]) => has(each));
  if (packed !== undefined) return { kind: 'packed', by: packed[1] };
  if (has(QCOW2)) return { kind: 'qcow2' };
  const other = OTHERS.find(([each]) => has(each));
  if (other !== undefined) throw noImage(name, `it is ${other[1]}`);
  if (has(BOOT_SECTOR)) return { kind: 'raw' };
  throw noImage(name, 'it is neither qcow2 nor a raw disk with a table of partitions');
}

function noImage(name: string, why: string): TartletError {
  return new TartletError('MEDIA_UNSUPPORTED', `no VM can be made from ${name}: ${why}`, {
    subject: name,
    kept: 'nothing was made',
    next: { kind: 'choose-cloud-image' },
  });
}
