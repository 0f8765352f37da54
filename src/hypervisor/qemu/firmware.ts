import { isJsonObject } from '../../json/foreign.ts';
import type { Arch } from '../../vm/config.ts';

/**
 * A firmware of the host for guests of one architecture, as its descriptor says (docs/interop/firmware.json of QEMU).
 */
export interface Firmware {
  /** The program, only read. */
  readonly code: string;
  /** What an empty variable store of it looks like. */
  readonly storeTemplate: string;
}

/**
 * Where distributions and administrators put descriptors; one of an earlier directory hides those of its name in later
 * ones.
 */
export const DESCRIPTOR_DIRECTORIES: readonly string[] = ['/etc/qemu/firmware', '/usr/share/qemu/firmware'];

const QEMU_ARCH = { amd64: 'x86_64', arm64: 'aarch64' } as const satisfies Record<Arch, string>;
const MACHINE = { amd64: 'pc-q35-', arm64: 'virt-' } as const satisfies Record<Arch, string>;

/** Secure Boot, and what it needs of the machine. */
const UNWANTED = new Set(['requires-smm', 'enrolled-keys', 'secure-boot']);

/**
 * Chooses a firmware: UEFI on flash, for this architecture and the machine that we make, without Secure Boot. Images
 * that Tart made were never started with it.
 *
 * @param descriptors parsed files, in the order of their names.
 * @returns undefined when none fits.
 */
export function chooseFirmware(descriptors: readonly unknown[], arch: Arch): Firmware | undefined {
  for (const descriptor of descriptors) {
    if (!isJsonObject(descriptor) || !fits(descriptor, arch)) continue;
    const { mapping } = descriptor;
    if (!isJsonObject(mapping) || mapping['device'] !== 'flash') continue;
    const code = rawFile(mapping['executable']);
    const storeTemplate = rawFile(mapping['nvram-template']);
    if (code !== undefined && storeTemplate !== undefined) return { code, storeTemplate };
  }
  return undefined;
}

function fits(descriptor: Readonly<Record<string, unknown>>, arch: Arch): boolean {
  const { 'interface-types': interfaces, targets, features } = descriptor;
  if (!Array.isArray(interfaces) || !interfaces.includes('uefi') || !Array.isArray(targets)) return false;
  if (Array.isArray(features) && features.some((feature) => UNWANTED.has(String(feature)))) return false;
  return targets.some(
    (target) =>
      isJsonObject(target) &&
      target['architecture'] === QEMU_ARCH[arch] &&
      Array.isArray(target['machines']) &&
      target['machines'].some((machine) => String(machine).startsWith(MACHINE[arch])),
  );
}

function rawFile(value: unknown): string | undefined {
  if (!isJsonObject(value) || value['format'] !== 'raw') return undefined;
  return typeof value['filename'] === 'string' ? value['filename'] : undefined;
}
