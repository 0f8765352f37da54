import path from 'node:path';
import * as v from 'valibot';
import { TartletError } from '../errors.ts';
import { onDisk } from '../fs/disk-error.ts';
import { moveEntry } from '../fs/entry.ts';
import { flushFile, flushRemoval, writeNewFile } from '../fs/fsync.ts';
import { readSmallFile } from '../fs/small-file.ts';
import { removeEntry } from '../fs/remove.ts';
import { exactStatIfThere, exists } from '../fs/stats.ts';
import { parseRecord } from '../json/record.ts';
import { SavedState } from '../home/home-entry.ts';
import { Digest } from '../names/digest.ts';
import type { Accelerator, Machine } from '../hypervisor/machine.ts';
import { qemuArguments, type QemuHost } from '../hypervisor/qemu/command-line.ts';

const schema = v.object({
  version: v.literal(1),
  /** Of the program and the arguments that make the machine: another machine cannot go on from this memory. */
  machine: v.string(),
  /** A guest has seen what the processor can do: it goes on only where that is the same. */
  accelerator: v.picklist(['kvm', 'tcg']),
  /** Size in bytes, and time in nanoseconds, of each disk that is a file when the guest stood still. */
  disks: v.array(v.object({ size: v.string(), mtime: v.string() })),
});

/** What a saved memory belongs to. */
export type SavedStateFacts = v.InferOutput<typeof schema>;

/**
 * A digest of what makes a machine the same to a guest: all that it consists of, and the program. What the guest does not see (ports of the
 * host, passwords, the number of its copy) may differ.
 */
export function identityOf(machine: Machine, host: QemuHost): string {
  const seen: Machine = {
    ...machine,
    directory: '',
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

/** For this user alone: whatever the guest knew is in its memory. */
const OURS = 0o600;

/** Where a memory is written until it is whole. */
export function newMemory(directory: string): string {
  return `${directory}/${SavedState.memory}.new`;
}

/** Publishes what was written to {@link newMemory}. @throws TartletError `DISK_*` */
export async function publishSavedState(machine: Machine, identity: string, accelerator: Accelerator): Promise<void> {
  const { directory } = machine;
  const facts: SavedStateFacts = { version: 1, machine: identity, accelerator, disks: await diskFacts(machine) };
  const memory = `${directory}/${SavedState.memory}`;
  await writeNewFile(`${directory}/${SavedState.facts}`, JSON.stringify(facts), OURS);
  await flushFile(newMemory(directory));
  await moveEntry(newMemory(directory), memory);
  await flushRemoval(directory);
}

/**
 * Whether a saved memory fits.
 * @returns what to go on from; undefined when nothing was saved.
 * @throws TartletError `VM_INVALID` when it does not fit: to go on would destroy the guest's file system.
 */
export async function requireFitting(
  machine: Machine,
  identity: string,
): Promise<{ readonly file: string; readonly accelerator: Accelerator } | undefined> {
  const { directory, name } = machine;
  const memory = `${directory}/${SavedState.memory}`;
  if (!(await exists(memory))) return undefined;
  const facts = parseRecord(schema, await readText(`${directory}/${SavedState.facts}`));
  if (facts === undefined) throw unfit(name, 'what it belongs to is not known');
  if (facts.machine !== identity) throw unfit(name, 'QEMU or the settings of the VM have changed since');
  const written = (await diskFacts(machine)).findIndex(
    ({ size, mtime }, index) => size !== facts.disks[index]?.size || mtime !== facts.disks[index]?.mtime,
  );
  if (written === 0) throw unfit(name, 'its disk was written since');
  if (written > 0) throw unfit(name, `disk ${written + 1} of it was written since`);
  return { file: memory, accelerator: facts.accelerator };
}

function unfit(name: string, why: string): TartletError {
  return new TartletError('VM_INVALID', `the VM "${name}" cannot go on from its saved memory: ${why}`, {
    subject: name,
    kept: 'it was left alone',
    next: { kind: 'drop-memory', vm: name },
  });
}

/** Before the guest goes on: its memory must never be used again, not even after a power cut. @throws TartletError `DISK_*` */
export async function dropSavedState(directory: string): Promise<void> {
  for (const file of Object.values(SavedState).map((name) => `${directory}/${name}`)) {
    await onDisk('delete', file, async () => removeEntry(file));
  }
  await flushRemoval(directory);
}

/** Of all that are files, in their order: of another kind it cannot be told who writes to it. */
async function diskFacts({ directory, disks }: Machine): Promise<SavedStateFacts['disks']> {
  const files = disks.flatMap((disk) => (disk.kind === 'file' ? path.resolve(directory, disk.path) : []));
  const found = await Promise.all(files.map(exactStatIfThere));
  return found.map((stats) => ({ size: String(stats?.size), mtime: String(stats?.mtimeNs) }));
}

async function readText(file: string): Promise<string | undefined> {
  try {
    return (await readSmallFile(file)).toString('utf8');
  } catch {
    return undefined; // Then nothing is known.
  }
}
