import type { Arch } from './config.ts';

/** What kernels call the two processors that a VM can have (`uname -m`): Tart's words are those of OCI platforms. */
const ARCHS: ReadonlyMap<string, Arch> = new Map([
  ['arm64', 'arm64'],
  ['aarch64', 'arm64'],
  ['x86_64', 'amd64'],
  ['amd64', 'amd64'],
]);

/** The processor of a machine, by its kernel's name for it; undefined for one that no VM can have. */
export function archOfMachine(machine: string): Arch | undefined {
  return ARCHS.get(machine);
}
