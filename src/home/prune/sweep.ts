import { type Stats } from 'node:fs';
import { Digest } from '../../names/digest.ts';
import { readableNamesIn } from '../../fs/entry-names.ts';
import { HEX } from '../content/content-reference.ts';
import { removeDirectory, REMOVAL_NAME } from '../../fs/publish.ts';
import { contentAsideName, contentAsideOf } from '../home-entry.ts';
import { TO_DELETE, whileHeld } from '../images/image-lock.ts';
import type { Store } from './prune-candidate.ts';
import { VmFile } from '../vm-directory.ts';
import { sweepDisposables } from '../vms/disposable.ts';
import { removeEntry } from '../../fs/remove.ts';
import { lstatIfThereSync } from '../../fs/stats.ts';

/** Unfinished downloads that no command continued for so long are deleted, in milliseconds. */
export const GIVEN_UP_MS = 7 * 24 * 60 * 60 * 1000;

/**
 * Finishes deletions that were killed, deletes VMs whose command was killed that they lived for, and deletes unfinished
 * downloads which no process holds and no command continued for a week. Done by commands that write; never a reason for
 * one to fail: whatever cannot be removed now is there the next time.
 *
 * @param wanted an image whose unfinished download will be continued now, however old it is.
 */
export async function sweep(store: Store, wanted?: Digest): Promise<void> {
  const { stagingDirectory } = store.home;
  await finishRemovals(store);
  await sweepDisposables(store);
  for (const name of readableNamesIn(stagingDirectory)) {
    if (HEX.test(name) && name !== wanted?.hex) await attempt(async () => expireStaging(store, name));
  }
  const files = store.contents.filesDirectory;
  for (const name of readableNamesIn(files)) await attempt(async () => expirePartial(store, name));
}

/** The first half of {@link sweep}, for commands that remove symlinks and directories and download nothing. */
export async function finishRemovals({ home, now }: Pick<Store, 'home' | 'now'>): Promise<void> {
  for (const directory of [home.stagingDirectory, ...home.scratchDirectories]) {
    for (const name of readableNamesIn(directory))
      if (REMOVAL_NAME.test(name)) await attempt(async () => discard(`${directory}/${name}`, now()));
  }
}

/** Call for what is in the way of no other step. */
async function attempt(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch {
    // See above; `doctor` and `prune` tell about a directory that cannot be changed.
  }
}

/** A command that is alive needs no longer to bring a symlink from one place to another, in milliseconds. */
const LINK_ARRIVES_MS = 60_000;

/**
 * Whether something of the name of what is being removed is a symlink that a living command may be moving: it is left
 * alone.
 */
export function mayBeOnItsWay(place: string, now: Date): boolean {
  const stats = look(place);
  return stats?.isSymbolicLink() === true && Math.abs(now.getTime() - stats.ctimeMs) < LINK_ARRIVES_MS;
}

/** What cannot be looked at is none of ours. */
function look(place: string): Stats | undefined {
  try {
    return lstatIfThereSync(place);
  } catch {
    return undefined;
  }
}

async function discard(doomed: string, now: Date): Promise<void> {
  if (!mayBeOnItsWay(doomed, now)) await removeEntry(doomed);
}

async function expireStaging(store: Store, name: string): Promise<void> {
  const directory = `${store.home.stagingDirectory}/${name}`;
  const isOld = (): boolean =>
    isGivenUp(store, [directory, ...readableNamesIn(directory).map((file) => `${directory}/${file}`)]);
  if (!isOld()) return;
  await whileHeld(store.images, Digest.sha256(name), TO_DELETE, isOld, async (isStillOld) => {
    if (isStillOld) await removeDirectory(directory, store.home.stagingDirectory, VmFile.config);
  });
}

/** Gives up a file of the content store on its way: its data, and what was verified of it. */
async function expirePartial(store: Store, name: string): Promise<void> {
  const aside = contentAsideOf(name);
  // Its lock stays: a command that waits for it must not wait for another file.
  if (aside === undefined || aside.kind === 'lock') return;
  const { hex } = aside;
  const both = (['partial', 'verified'] as const).map(
    (kind) => `${store.contents.filesDirectory}/${contentAsideName(hex, kind)}`,
  );
  if (!isGivenUp(store, both)) return;
  await store.contents.whileBuilding(Digest.sha256(hex), { mode: 'exclusive', wait: false }, async () => {
    // Another command may have gone on with it, and ended, since it was looked at.
    if (isGivenUp(store, both)) for (const file of both) await removeEntry(file);
  });
}

/**
 * By the latest change of any of these; one in the future is a clock that was wrong, and counts as now (reliability
 * P25).
 */
function isGivenUp(store: Store, places: readonly string[]): boolean {
  const changes = places.map((place) => lstatIfThereSync(place)?.mtimeMs ?? 0);
  return store.now().getTime() - Math.max(...changes) >= GIVEN_UP_MS;
}
