import { lstat, readFile, readlink, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import * as v from 'valibot';
import { isTartletError, systemCode } from '../errors.ts';
import { parseRecord } from '../json/record.ts';
import type { Digest } from '../names/digest.ts';
import { createFile } from '../fs/entry.ts';
import { type FileState, fileState } from '../fs/file-state.ts';
import { fsyncFile, writeNewFile } from '../fs/fsync.ts';
import { isOwnDirectory, readOwnFile, unlessUnusable } from '../fs/own-file.ts';
import { removeEntry } from '../fs/remove.ts';
import { modeIn } from '../fs/sharing.ts';
import { OurFile, VmFile } from './home-entry.ts';

/*
 * An unmodified marker tells that no process has written to a disk since it was what the manifest beside it says. Every
 * write breaks it, because the kernel notes the time of every change of a file, and lets no program set that one back
 * (ctime, inode(7)). What can go wrong with times, and why it does not here:
 *
 * - Two changes within one tick of the clock look like one: the unmodified marker is written after the clock has gone
 *   on, which its own date proves.
 * - When a file system ends without being unmounted, data may be newer than times: an unmodified marker ends with the
 *   mounting in which it was made.
 * - Writes through memory maps, or from other machines, may set no time: only file systems are believed that do, and
 *   are of this machine. There the first write to a page after it was fsynced sets the time, and the next ones do not:
 *   what others know is fsynced before it is read.
 * - Another user could write an unmodified marker: one counts only where only this user can have written it.
 *
 * Without an unmodified marker the disk is hashed: one that is missing, broken or not understood is no error.
 */

/** More would be no unmodified marker. */
export const MAX_SEAL_BYTES = 4096;

/** File systems that note every change, by their numbers, with their names below `/sys/fs`. */
const EXACT_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0xef53, 'ext4'],
  [0x58465342, 'xfs'],
]);

/** Clocks of file systems go on after 10 ms at the latest, unless they know whole seconds only. */
const CLOCK_TRIES = 20;

const SECOND_NS = 1_000_000_000n;

/**
 * Writable for no other user, whatever the umask says, unless a group shares the directory: no unmodified marker is
 * believed there.
 */
const SEAL_MODE = 0o644;

/** What is in the file. */
export const markerRecord = v.object({
  version: v.literal(1),
  /** Digest of the manifest beside the disk. */
  manifest: v.string(),
  /** The disk as it was marked as unmodified, see `FileState.touched`. */
  state: v.string(),
  /**
   * Inode of the directory that both lie in: of a copy of it, the unmodified marker says nothing. Absent in unmodified
   * markers of older versions.
   */
  directory: v.optional(v.string()),
  /** The mounting of its file system within which the times of files tell the truth. */
  mounting: v.string(),
});

/**
 * How a disk that others know is before it is read, so that it can be marked as unmodified afterwards: fsynced, and the
 * clock of its file system gone on since it was changed last. A write from now on leaves another time.
 *
 * @returns its `FileState.touched`; undefined where it cannot be marked as unmodified. Never fails.
 */
export async function stateToMark(directory: string, platform: NodeJS.Platform): Promise<string | undefined> {
  return unlessUnusable(async () => {
    if ((await mountingOf(directory, platform)) === undefined || !(await isOwnDirectory(directory))) return undefined;
    const file = `${directory}/${VmFile.disk}`;
    await fsyncFile(file);
    const disk = await stateOfOwnDisk(directory);
    if (disk === undefined) return undefined;
    const clock = `${directory}/${OurFile.marker}.clock`;
    try {
      const hasGoneOn = await untilYounger(clock, disk, async () => (await createFile(clock, 'empty')).close());
      return hasGoneOn ? disk.touched : undefined;
    } finally {
      await removeEntry(clock);
    }
  });
}

/**
 * Unmodified markers a disk that is finished and fsynced, and what the manifest says. Does nothing where times of files
 * prove nothing, and where the unmodified marker cannot be written: it saves time, and is worth no failure.
 *
 * @param manifest digest of the manifest that lies, or will lie, beside the disk.
 * @param state what {@link stateToMark} told before the disk was read: one that was written to since stays unmarked.
 * Absent for a disk that no other process knows yet.
 */
export async function markUnmodified(
  directory: string,
  manifest: Digest,
  platform: NodeJS.Platform,
  state?: string,
): Promise<void> {
  const file = `${directory}/${OurFile.marker}`;
  try {
    const mounting = await mountingOf(directory, platform);
    const disk = mounting === undefined ? undefined : await stateOfOwnDisk(directory);
    if (disk === undefined || (state !== undefined && disk.touched !== state)) return;
    const { ino } = await stat(directory, { bigint: true });
    const record = { version: 1, manifest: manifest.toString(), state: disk.touched, directory: String(ino), mounting };
    const mode = await modeIn(directory, SEAL_MODE);
    const text = JSON.stringify(record);
    if (!(await untilYounger(file, disk, async () => writeNewFile(file, `${text}\n`, mode)))) await removeEntry(file);
  } catch (error) {
    if (!isTartletError(error) && systemCode(error) === undefined) throw error;
    // One that stays is older than the disk, or cut off: it is not believed.
    await removeEntry(file).catch(() => undefined);
  }
}

/** Writes a file until the clock of the file system has gone on since the disk was changed. @returns whether it has. */
async function untilYounger(file: string, disk: FileState, write: () => Promise<void>): Promise<boolean> {
  for (let tries = 0; tries < CLOCK_TRIES; tries += 1) {
    await write();
    if ((await fileState(file)).changedNs > disk.changedNs) return true;
    await setTimeout(1);
  }
  return false;
}

/** @returns undefined for a disk whose times prove nothing. */
async function stateOfOwnDisk(directory: string): Promise<FileState | undefined> {
  const file = `${directory}/${VmFile.disk}`;
  // What a symlink leads to may lie on another file system.
  if (!(await lstat(file)).isFile()) return undefined;
  const disk = await fileState(file);
  // Old inodes of ext4 have room for no more: two changes of one second would look like one.
  return disk.changedNs % SECOND_NS === 0n ? undefined : disk;
}

/**
 * How the disk of a directory is, if no process can have written to it since it was marked as unmodified.
 *
 * @param manifest digest of what lies beside the disk now.
 * @returns its `FileState.touched`, to be compared again after whatever is done with the disk; undefined when it has to
 * be hashed.
 */
export async function markedState(
  directory: string,
  manifest: Digest,
  platform: NodeJS.Platform,
): Promise<string | undefined> {
  const file = `${directory}/${OurFile.marker}`;
  return unlessUnusable(async () => {
    if (!(await isOwnDirectory(directory))) return undefined;
    const marked = await fileState(file);
    const bytes = await readOwnFile(file, MAX_SEAL_BYTES);
    const found = parseRecord(markerRecord, bytes?.toString());
    if (found?.manifest !== manifest.toString()) return undefined;
    if (found.mounting !== (await mountingOf(directory, platform))) return undefined;
    const disk = await stateOfOwnDisk(directory);
    return disk?.touched === found.state && disk.changedNs < marked.changedNs ? disk.touched : undefined;
  });
}

/**
 * Which mounting of a file system a directory is on. The kernel lists what is mounted below `/sys/fs`, where each entry
 * gets a number of its own when it comes; numbers begin anew with the machine. Device and inodes are the same after a
 * file system was lost and mounted again.
 *
 * @returns undefined where the times of files prove nothing.
 */
async function mountingOf(directory: string, platform: NodeJS.Platform): Promise<string | undefined> {
  if (platform !== 'linux') return undefined;
  const kind = EXACT_FILE_SYSTEMS.get((await statfs(directory)).type);
  if (kind === undefined) return undefined;
  const { dev } = await stat(directory, { bigint: true });
  const device = path.basename(await readlink(`/sys/dev/block/${deviceNumbers(dev)}`));
  const { ino } = await stat(`/sys/fs/${kind}/${device}`, { bigint: true });
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
  return `${boot.trim()} ${device} ${ino}`;
}

/** `major:minor` of a device number (makedev(3)). */
function deviceNumbers(dev: bigint): string {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}
