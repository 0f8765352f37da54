import { type Stats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { openDirectory } from '../fs/directory.ts';
import { createFile } from '../fs/entry.ts';
import { lstatIfThereSync } from '../fs/stats.ts';
import { OurFile } from './home-entry.ts';

/** What tells whether a date can be believed. */
export interface UseClock {
  readonly platform: NodeJS.Platform;
  /** The wall clock. */
  readonly now: () => Date;
}

/**
 * Records that an image or a VM was used. The access time of the directory is set too, for Tart (tart-formats §1.7).
 * Never fails: in a shared or read-only cache, or on a full disk, the use goes unrecorded, which is harmless
 * (reliability D12, D29).
 */
export async function recordUse(directory: string, at: Date): Promise<void> {
  try {
    // Neither through a symlink nor into a pipe that another user put there (reliability S25, S26).
    await setTimes(await createFile(`${directory}/${OurFile.lastUse}`, 'keep'), at, at);
  } catch {
    // The date below is still worth setting.
  }
  try {
    await setTimes(await openDirectory(directory), at);
  } catch {
    // See above.
  }
}

/**
 * Sets the times of what is open, and closes it. @param changed Default: stays as it is. @throws the system's own error
 */
export async function setTimes(handle: FileHandle, used: Date, changed?: Date): Promise<void> {
  try {
    await handle.utimes(used, changed ?? (await handle.stat()).mtime);
  } finally {
    await handle.close();
  }
}

/**
 * When something was used last: by our own record, and where Tart can run also by the access time, whichever is later.
 * Elsewhere a mere listing of the directory sets the access time (relatime, tart-cli §4.4), so that a record counts
 * alone; without one, as in a cache that came from a Mac, the earlier of access and change does: each of the two moves
 * for other reasons than a use. A date in the future is a clock that was wrong once, and counts as now (reliability
 * P25).
 *
 * @param path of an image or VM directory, or of a file of Tart's.
 * @returns undefined when nothing is there. @throws TartletError `DISK_*`
 */
export function lastUse(path: string, clock: UseClock): Date | undefined {
  const record = lstatIfThereSync(`${path}/${OurFile.lastUse}`)?.mtimeMs;
  const used =
    record !== undefined && clock.platform !== 'darwin' ? record : usedMs(lstatIfThereSync(path), record ?? 0, clock);
  return used === undefined ? undefined : new Date(Math.min(Math.floor(used), clock.now().getTime()));
}

function usedMs(place: Stats | undefined, recordMs: number, { platform }: UseClock): number | undefined {
  if (place === undefined) return undefined;
  if (platform === 'darwin') return Math.max(recordMs, place.atimeMs);
  return place.isDirectory() ? Math.min(place.atimeMs, place.mtimeMs) : place.atimeMs;
}

/**
 * When a directory came into being or was used, whichever is later and known: what was moved to its place a moment ago
 * has no record yet when Tart or a killed command put it there.
 */
export function lastStir(path: string, clock: UseClock): Date | undefined {
  const used = lastUse(path, clock);
  if (used === undefined || lstatIfThereSync(`${path}/${OurFile.lastUse}`) !== undefined) return used;
  const changed = lstatIfThereSync(path)?.mtimeMs ?? 0;
  return new Date(Math.min(Math.max(used.getTime(), changed), clock.now().getTime()));
}
