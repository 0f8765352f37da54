import { readFileSync } from 'node:fs';
import { onDisk } from '../../fs/disk-error.ts';
import { moveEntry } from '../../fs/entry.ts';
import { writeNewFile } from '../../fs/fsync.ts';
import { modeIn } from '../../fs/sharing.ts';
import { readSmallFile } from '../../fs/small-file.ts';
import { removeEntry } from '../../fs/remove.ts';
import { fieldOf, isJsonObject, parseJson } from '../../json/foreign.ts';
import { RunFile } from '../home-entry.ts';

/*
 * What a `run` tells other commands about itself: `run.json` beside the VM's configuration. That the VM runs is said by
 * the kernel lock of the configuration alone; the record says which process to ask, and is believed only while its
 * process is that process.
 */

/** The record of a running VM. */
export interface RunRecord {
  readonly version: 1;
  readonly pid: number;
  /**
   * When the process began, in ticks since the start of the system: a number that is used again names another process.
   */
  readonly began: string;
  readonly network: RunNetwork;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly notSuspendable?: NotSuspendable | undefined;
}

/** What a guest has that cannot be saved with its memory. */
export type NotSuspendable = 'shared-directories' | 'copied-disk' | 'lazy-disk';

/** A port of this machine that leads to one of the guest's, by TCP. */
export interface PublishedPort {
  readonly hostAddress: string;
  readonly hostPort: number;
  readonly guestPort: number;
}

/** Where the guest is reached. */
export type RunNetwork =
  | {
      readonly kind: 'user';
      readonly address: string;
      readonly sshPort: number;
      readonly published: readonly PublishedPort[];
    }
  | { readonly kind: 'bridged'; readonly mac: string };

/** Writes the record in one step: readers see all of it or none. @throws TartletError `DISK_*` */
export async function writeRunRecord(directory: string, record: RunRecord): Promise<void> {
  await replaceRecord(directory, RunFile.record, record);
}

async function replaceRecord(directory: string, name: string, value: unknown): Promise<void> {
  const file = `${directory}/${name}`;
  // One of another user cannot be written to, and can be replaced.
  await removeEntry(`${file}.new`);
  // It is replaced and never written to: also a group that shares the home need only read it.
  await writeNewFile(`${file}.new`, JSON.stringify(value), (await modeIn(directory, READABLE)) & ~WRITABLE_BY_OTHERS);
  try {
    await onDisk('replace', file, async () => moveEntry(`${file}.new`, file));
  } catch (error) {
    await removeEntry(`${file}.new`);
    throw error;
  }
}

/** There is no secret in them, and root may stop what others run. */
const READABLE = 0o644;
const WRITABLE_BY_OTHERS = 0o022;

/** @returns undefined when there is none, or its process has ended. */
export async function readRunRecord(directory: string): Promise<RunRecord | undefined> {
  const record = parseRecord(await readJson(`${directory}/${RunFile.record}`));
  return record !== undefined && beginningOf(record.pid) === record.began ? record : undefined;
}

/** What cannot be read says nothing. */
async function readJson(file: string): Promise<unknown> {
  try {
    return parseJson(await readSmallFile(file));
  } catch {
    return undefined;
  }
}

/** By hand: `list` asks for it, and must not load a library for that. */
function parseRecord(value: unknown): RunRecord | undefined {
  if (!isJsonObject(value) || value['version'] !== 1) return undefined;
  const { pid, began, startedAt } = value;
  const network = parseNetwork(fieldOf(value, 'network'));
  if (typeof pid !== 'number' || typeof began !== 'string' || typeof startedAt !== 'number') return undefined;
  if (network === undefined) return undefined;
  return { version: 1, pid, began, network, startedAt, notSuspendable: parseNotSuspendable(value['notSuspendable']) };
}

function parseNotSuspendable(value: unknown): NotSuspendable | undefined {
  return value === 'shared-directories' || value === 'copied-disk' || value === 'lazy-disk' ? value : undefined;
}

function parseNetwork(value: unknown): RunNetwork | undefined {
  if (!isJsonObject(value)) return undefined;
  const { kind, address, sshPort, mac, published } = value;
  if (kind === 'user' && typeof address === 'string' && typeof sshPort === 'number') {
    const ports = Array.isArray(published) ? published.flatMap(parsePublished) : [];
    return { kind, address, sshPort, published: ports };
  }
  return kind === 'bridged' && typeof mac === 'string' ? { kind, mac } : undefined;
}

function parsePublished(value: unknown): PublishedPort[] {
  if (!isJsonObject(value)) return [];
  const { hostAddress, hostPort, guestPort } = value;
  if (typeof hostAddress !== 'string' || typeof hostPort !== 'number' || typeof guestPort !== 'number') return [];
  return [{ hostAddress, hostPort, guestPort }];
}

export async function removeRunRecord(directory: string): Promise<void> {
  for (const name of Object.values(RunFile)) await removeEntry(`${directory}/${name}`);
}

/** When a process began, from `/proc` (proc(5), `stat`, field 22). @returns undefined when it is not there. */
export function beginningOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Its name stands in brackets, and may contain anything.
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

/**
 * Tells a `run` by when it is to have ended, before it is told to. Where that cannot be written, on a full disk for
 * instance, it ends all the same: after its own time, or by being killed.
 *
 * @param pid of the `run`. @param before milliseconds since 1970.
 */
export async function writeStopDeadline(directory: string, pid: number, before: number): Promise<void> {
  await replaceRecord(directory, RunFile.stopBefore, { pid, before }).catch(() => undefined);
}

/**
 * @returns milliseconds since 1970; undefined when nothing was said to this process: what was said to another is out of
 * date.
 */
export async function readStopDeadline(directory: string, pid: number): Promise<number | undefined> {
  const value = await readJson(`${directory}/${RunFile.stopBefore}`);
  const before = fieldOf(value, 'pid') === pid ? fieldOf(value, 'before') : undefined;
  return typeof before === 'number' ? before : undefined;
}
