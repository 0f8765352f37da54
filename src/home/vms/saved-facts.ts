import * as v from 'valibot';
import { writeNewFile } from '../../fs/fsync.ts';
import { readSmallFile } from '../../fs/small-file.ts';
import { exactStatIfThere } from '../../fs/stats.ts';
import { parseRecord } from '../../json/record.ts';
import { SavedState } from '../home-entry.ts';

/*
 * What the memory of a suspended guest belongs to: `state.json` beside it. Without this record, and where it does not
 * fit, the memory is of no use: a guest that goes on with another disk than it knows destroys its file system.
 */

const schema = v.object({
  version: v.literal(1),
  /** Of the program and the arguments that make the machine: another machine cannot go on from this memory. */
  machine: v.string(),
  /** A guest has seen what the processor can do: it goes on only where that is the same. */
  accelerator: v.picklist(['kvm', 'tcg']),
  /** The address that the guest knows its network cards by. */
  mac: v.string(),
  /** Of each disk that is a file, as it was when the guest stood still. */
  disks: v.array(v.object({ size: v.string(), mtime: v.string() })),
});

/** What a saved memory belongs to. */
export type SavedFacts = v.InferOutput<typeof schema>;

/** Size in bytes, and time of the last change in nanoseconds, of a file. */
export type SavedDisk = SavedFacts['disks'][number];

/** For this user alone: whatever the guest knew is in its memory. */
const OURS = 0o600;

/** @param directory of the VM. @returns undefined when there is no such record, or none that can be read. */
export async function readSavedFacts(directory: string): Promise<SavedFacts | undefined> {
  try {
    return parseRecord(schema, (await readSmallFile(`${directory}/${SavedState.facts}`)).toString('utf8'));
  } catch {
    return undefined; // Then nothing is known.
  }
}

/** @param directory of the VM. @throws TartletError `DISK_*` */
export async function writeSavedFacts(directory: string, facts: SavedFacts): Promise<void> {
  await writeNewFile(`${directory}/${SavedState.facts}`, JSON.stringify(facts), OURS);
}

/** What tells whether a disk was written to. */
export async function savedDisk(file: string): Promise<SavedDisk> {
  const stats = await exactStatIfThere(file);
  return { size: String(stats?.size), mtime: String(stats?.mtimeNs) };
}

/** Whether a disk is as it was. */
export function isSameDisk(one: SavedDisk | undefined, other: SavedDisk | undefined): boolean {
  return one !== undefined && one.size === other?.size && one.mtime === other.mtime;
}
