import path from 'node:path';
import { TartletError } from '../errors.ts';
import { onDisk } from '../fs/disk-error.ts';
import { moveEntry } from '../fs/entry.ts';
import { fsyncFile, fsyncRemoval } from '../fs/fsync.ts';
import { removeEntry } from '../fs/remove.ts';
import { exists } from '../fs/stats.ts';
import { SavedState, SEED } from '../home/home-entry.ts';
import { isSameDisk, readSavedFacts, type SavedDisk, savedDisk, writeSavedFacts } from '../home/vms/saved-facts.ts';
import { Digest } from '../names/digest.ts';
import type { Accelerator, Machine } from '../hypervisor/machine.ts';
import { qemuArguments, type QemuHost } from '../hypervisor/qemu/command-line.ts';

/**
 * A digest of what makes a machine the same to a guest: all that it consists of, and the program. What the guest does
 * not see (ports of the host, passwords, the number of its copy) may differ, and so may what a copy of the VM has of
 * its own: its name, and the address of its network card, which it gets when it goes on.
 */
export function identityOf(machine: Machine, host: QemuHost): string {
  const seen: Machine = {
    ...machine,
    name: '',
    directory: '',
    mac: '',
    generation: '',
    vsock: machine.vsock === undefined ? undefined : 0,
    network: machine.network.kind === 'user' ? { ...machine.network, forwards: [] } : machine.network,
    screens: [],
    clipboard: false,
    sound: machine.sound && 'none',
  };
  const parts = qemuArguments(seen, host, {
    accelerator: 'tcg',
    store: '',
    sockets: { monitor: '', requests: '', agent: '' },
    log: '',
    isResumed: false,
  });
  return Digest.of(Buffer.from(JSON.stringify([host.program, host.version, parts]))).hex;
}

/** Where a memory is written until it is whole. */
export function newMemory(directory: string): string {
  return `${directory}/${SavedState.memory}.new`;
}

/**
 * Publishes what was written to {@link newMemory}.
 *
 * @param of what the memory belongs to: {@link identityOf}, what ran its instructions, and the address that the guest
 * knows its cards by.
 * @throws TartletError `DISK_*`
 */
export async function publishSavedState(
  machine: Machine,
  of: { readonly identity: string; readonly accelerator: Accelerator; readonly mac: string },
): Promise<void> {
  const { directory } = machine;
  const { identity, accelerator, mac } = of;
  const disks = await diskFacts(machine);
  await writeSavedFacts(directory, { version: 1, machine: identity, accelerator, mac, disks });
  await fsyncFile(newMemory(directory));
  await moveEntry(newMemory(directory), `${directory}/${SavedState.memory}`);
  await fsyncRemoval(directory);
}

/** What a guest goes on from. */
export interface Saved {
  readonly file: string;
  /** The address that the guest knows its cards by. */
  readonly mac: string;
  readonly accelerator: Accelerator;
}

/**
 * Whether a saved memory fits.
 * @returns what to go on from; undefined when nothing was saved.
 * @throws TartletError `VM_INVALID` when it does not fit: to go on would destroy the guest's file system.
 */
export async function requireFitting(machine: Machine, identity: string): Promise<Saved | undefined> {
  const { directory, name } = machine;
  const memory = `${directory}/${SavedState.memory}`;
  if (!(await exists(memory))) return undefined;
  const facts = await readSavedFacts(directory);
  if (facts === undefined) throw unfit(name, 'what it belongs to is not known');
  if (facts.machine !== identity) throw unfit(name, 'QEMU or the settings of the VM have changed since');
  const written = (await diskFacts(machine)).findIndex((disk, index) => !isSameDisk(disk, facts.disks[index]));
  if (written === 0) throw unfit(name, 'its disk was written since');
  if (written > 0) throw unfit(name, `disk ${written + 1} of it was written since`);
  return { file: memory, mac: facts.mac, accelerator: facts.accelerator };
}

function unfit(name: string, why: string): TartletError {
  return new TartletError('VM_INVALID', `the VM "${name}" cannot go on from its saved memory: ${why}`, {
    subject: name,
    kept: 'it was left alone',
    next: { kind: 'drop-memory', vm: name },
  });
}

/**
 * Before the guest goes on: its memory must never be used again, not even after a power cut. @throws TartletError
 * `DISK_*`
 */
export async function dropSavedState(directory: string): Promise<void> {
  for (const file of Object.values(SavedState).map((name) => `${directory}/${name}`)) {
    await onDisk('delete', file, async () => removeEntry(file));
  }
  await fsyncRemoval(directory);
}

/**
 * Of all that are files, in their order: of another kind it cannot be told which process writes to it. What cloud-init
 * is told is read once, and written anew for each clone.
 */
async function diskFacts({ directory, disks }: Machine): Promise<SavedDisk[]> {
  const files = disks.flatMap((disk) => (disk.kind === 'file' && disk.path !== SEED ? disk.path : []));
  return Promise.all(files.map(async (file) => savedDisk(path.resolve(directory, file))));
}
