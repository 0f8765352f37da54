import { crc32 } from 'node:zlib';
import type { Arch } from './config.ts';

/*
 * The flash in which edk2's UEFI firmware keeps its variables. One firmware volume (UEFI Platform Initialization
 * Specification, volume 3, EFI_FIRMWARE_VOLUME_HEADER) holds three regions: the variables (edk2 MdeModulePkg,
 * Guid/VariableFormat.h), a log of the writes under way (FTW, "fault tolerant write": Guid/SystemNvDataGuid.h) and a
 * spare block for them. All numbers are little-endian; erased flash is 0xff. What edk2's own builds write as empty:
 * OvmfPkg/VarStore.fdf.inc and ArmVirtPkg/VarStore.fdf.inc.
 */

/** gEfiSystemNvDataFvGuid fff12b8d-7696-4c8b-a985-2747075b4f50. */
const NV_DATA_VOLUME = '8d2bf1ff96768b4ca9852747075b4f50';
/** gEfiAuthenticatedVariableGuid aaf32c78-947b-439a-a180-2e144ec37792: variables that secure boot can sign. */
const AUTHENTICATED_VARIABLES = '782cf3aa7b949a43a1802e144ec37792';
/** gEfiVariableGuid ddcf3616-3275-4164-98b6-fe85707ffe7d: variables of firmware without secure boot. */
const PLAIN_VARIABLES = '1636cfdd7532644198b6fe85707ffe7d';
/** gEdkiiWorkingBlockSignatureGuid 9e58292b-7c68-497d-a0ce-6500fd9f1b95. */
const WORKING_BLOCK = '2b29589e687c7d49a0ce6500fd9f1b95';

/** `_FVH` as a number. */
const VOLUME_SIGNATURE = 0x4856465f;
/** Readable, writable, its lock and its memory mapping allowed, erased to ones: what edk2's templates say. */
const VOLUME_ATTRIBUTES = 0x0004feff;
const VOLUME_HEADER_BYTES = 0x48;
const VOLUME_REVISION = 2;
const STORE_HEADER_BYTES = 0x1c;
const STORE_FORMATTED = 0x5a;
const STORE_HEALTHY = 0xfe;
const WORKING_HEADER_BYTES = 0x20;

/** Where things are in the flash, in bytes. What lies between them is erased. */
interface Geometry {
  readonly volumeBytes: number;
  readonly blockBytes: number;
  readonly variableBytes: number;
  readonly workingAt: number;
  readonly workingBytes: number;
}

const GEOMETRY: Readonly<Record<Arch, Geometry>> = {
  /** ArmVirtQemu: three blocks of QEMU's NOR flash. QEMU wants its file padded to 64 MiB. */
  arm64: {
    volumeBytes: 0xc0000,
    blockBytes: 0x40000,
    variableBytes: 0x40000,
    workingAt: 0x40000,
    workingBytes: 0x40000,
  },
  /** OVMF in its 4 MiB layout: behind the variables is one block for an event log. */
  amd64: { volumeBytes: 0x84000, blockBytes: 0x1000, variableBytes: 0x40000, workingAt: 0x41000, workingBytes: 0x1000 },
};

/** A valid store without a variable in it, for QEMU's firmware: 768 KiB for arm64, 528 KiB for amd64. */
export function emptyEfiStore(arch: Arch): Uint8Array {
  const geometry = GEOMETRY[arch];
  const store = Buffer.alloc(geometry.volumeBytes, 0xff);
  writeVolumeHeader(store.subarray(0, VOLUME_HEADER_BYTES), geometry);
  writeVariableHeader(store.subarray(VOLUME_HEADER_BYTES), geometry.variableBytes - VOLUME_HEADER_BYTES);
  writeWorkingHeader(store.subarray(geometry.workingAt), geometry.workingBytes);
  return new Uint8Array(store.buffer, store.byteOffset, store.length);
}

/** EFI_FIRMWARE_VOLUME_HEADER. The 16 zero bytes at its start are kept for a reset vector. */
function writeVolumeHeader(header: Buffer, { volumeBytes, blockBytes }: Geometry): void {
  header.fill(0);
  header.write(NV_DATA_VOLUME, 0x10, 'hex');
  header.writeBigUInt64LE(BigInt(volumeBytes), 0x20);
  header.writeUInt32LE(VOLUME_SIGNATURE, 0x28);
  header.writeUInt32LE(VOLUME_ATTRIBUTES, 0x2c);
  header.writeUInt16LE(VOLUME_HEADER_BYTES, 0x30);
  header.writeUInt8(VOLUME_REVISION, 0x37);
  // The block map: so many blocks of this size, and an entry of zeros that ends it.
  header.writeUInt32LE(volumeBytes / blockBytes, 0x38);
  header.writeUInt32LE(blockBytes, 0x3c);
  header.writeUInt16LE((0x10000 - sum16(header)) & 0xffff, 0x32);
}

/** VARIABLE_STORE_HEADER. */
function writeVariableHeader(header: Buffer, storeBytes: number): void {
  header.write(AUTHENTICATED_VARIABLES, 0, 'hex');
  header.writeUInt32LE(storeBytes, 0x10);
  header.writeUInt8(STORE_FORMATTED, 0x14);
  header.writeUInt8(STORE_HEALTHY, 0x15);
  header.fill(0, 0x16, STORE_HEADER_BYTES);
}

/** EFI_FAULT_TOLERANT_WORKING_BLOCK_HEADER. Its checksum is taken while checksum and state are still erased. */
function writeWorkingHeader(block: Buffer, blockBytes: number): void {
  const header = block.subarray(0, WORKING_HEADER_BYTES);
  header.write(WORKING_BLOCK, 0, 'hex');
  header.writeBigUInt64LE(BigInt(blockBytes - WORKING_HEADER_BYTES), 0x18);
  const checksum = crc32(header);
  header.writeUInt32LE(checksum, 0x10);
  // The lowest bit, cleared, says that the block is valid.
  header.writeUInt8(0xfe, 0x14);
}

/**
 * What kind of NVRAM this is. `edk2`: a variable store for QEMU's firmware, of whatever size, full or empty. `unknown`:
 * anything else, most likely the store of Apple's Virtualization framework, which has a format of its own.
 */
export function identifyEfiStore(bytes: Uint8Array): 'edk2' | 'unknown' {
  const store = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return isNvDataVolume(store) && holdsVariables(store) ? 'edk2' : 'unknown';
}

function isNvDataVolume(store: Buffer): boolean {
  if (store.length < VOLUME_HEADER_BYTES || store.readUInt32LE(0x28) !== VOLUME_SIGNATURE) return false;
  if (store.toString('hex', 0x10, 0x20) !== NV_DATA_VOLUME) return false;
  if (store.readBigUInt64LE(0x20) > store.length) return false;
  const headerBytes = store.readUInt16LE(0x30);
  const isWhole = headerBytes >= VOLUME_HEADER_BYTES && headerBytes % 2 === 0 && headerBytes <= store.length;
  return isWhole && sum16(store.subarray(0, headerBytes)) === 0;
}

function holdsVariables(store: Buffer): boolean {
  const at = store.readUInt16LE(0x30);
  if (store.length < at + STORE_HEADER_BYTES) return false;
  const guid = store.toString('hex', at, at + 16);
  const isFormatted = store.readUInt8(at + 0x14) === STORE_FORMATTED && store.readUInt8(at + 0x15) === STORE_HEALTHY;
  return isFormatted && (guid === AUTHENTICATED_VARIABLES || guid === PLAIN_VARIABLES);
}

/** The 16-bit words added up, without what overflows. */
function sum16(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum = (sum + bytes.readUInt16LE(at)) & 0xffff;
  return sum;
}
