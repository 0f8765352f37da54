import type { Arch } from '../../vm/config.ts';

/** `gEfiSystemNvDataFvGuid`, which begins a variable store of edk2, as it lies in the file. */
const STORE_GUID = Buffer.from('8d2bf1ff96768b4ca9852747075b4f50', 'hex');
const GUID_AT = 0x10;
const SIGNATURE = Buffer.from('_FVH', 'latin1');
const SIGNATURE_AT = 0x28;

/** Bytes at the beginning of a store of arm64 that carry everything; the flash itself has 64 MiB (vm-run.md §5). */
const ARM_KEPT_BYTES = 768 * 1024;
const ARM_FLASH_BYTES = 64 * 1024 * 1024;

/** What a VM's `nvram.bin` is to a firmware of this host. */
export type StoreUse =
  /**
   * It is a store of such a firmware: used, and written back. `padTo`: bytes that the flash has and the file has not.
   */
  | { readonly kind: 'own'; readonly padTo: number | undefined }
  /**
   * Apple's, or of another firmware: never touched, so that the VM can go back to where it came from. A store beside it
   * is used.
   */
  | { readonly kind: 'foreign' };

/**
 * Tells what an `nvram.bin` is. A store of a wrong size makes QEMU end, and one of other contents makes the firmware of
 * amd64 hang for ever (vm-run.md §5), so everything must fit.
 *
 * @param head its first 64 bytes or more.
 * @param size of the file, in bytes.
 * @param templateSize of the firmware's empty store, in bytes.
 */
export function useOfStore(
  head: Uint8Array,
  size: number,
  firmware: { readonly arch: Arch; readonly templateSize: number },
): StoreUse {
  if (!isEdk2Store(head)) return { kind: 'foreign' };
  switch (firmware.arch) {
    case 'amd64':
      return size === firmware.templateSize ? { kind: 'own', padTo: undefined } : { kind: 'foreign' };
    case 'arm64':
      if (size === ARM_FLASH_BYTES) return { kind: 'own', padTo: undefined };
      return size === ARM_KEPT_BYTES ? { kind: 'own', padTo: ARM_FLASH_BYTES } : { kind: 'foreign' };
  }
}

/** How much of a store is worth keeping, in bytes, when the machine has ended. */
export function keptBytes(arch: Arch, size: number): number {
  return arch === 'arm64' ? Math.min(size, ARM_KEPT_BYTES) : size;
}

function isEdk2Store(head: Uint8Array): boolean {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  return (
    bytes.subarray(GUID_AT, GUID_AT + STORE_GUID.length).equals(STORE_GUID) &&
    bytes.subarray(SIGNATURE_AT, SIGNATURE_AT + SIGNATURE.length).equals(SIGNATURE)
  );
}
