import path from 'node:path';
import { diskError } from '../../fs/disk-error.ts';
import { imagesInUse } from './images-in-use.ts';
import { measureCandidate } from './prune-measure.ts';
import { cacheCandidates, type Candidate, type Spared, spare, type Store } from './prune-candidate.ts';
import { type Chosen, oldestFirst } from './prune-choice.ts';
import { deleteCandidate, isBusy } from './prune-delete.ts';
import type { Deletion } from './prune-measure.ts';
import { freeBytes } from '../../fs/space.ts';

/** What making room did. */
export interface FreedUp {
  readonly deleted: readonly Deletion[];
  readonly spared: readonly Spared[];
  /** Bytes that are free now. */
  readonly freeBytes: number;
}

/** What of the cache could go now: neither pinned nor in use, also not by a VM that runs. The oldest first. */
export async function prunable(store: Store): Promise<Candidate[]> {
  const free: Candidate[] = [];
  for (const candidate of await freeToGo(store)) {
    const busy = await store.home.unreadable.passOverLater(candidate.path, async () => isBusy(store, candidate));
    if (busy === false) free.push(candidate);
  }
  return free;
}

/**
 * Deletes images and restore images, those first that were not used for longest, until so many bytes are free on the
 * disk of the cache, and no more. After each it asks the disk, and chooses anew: meanwhile one may have been used, or
 * another command made room too (reliability P27).
 *
 * @throws TartletError `DISK_*` when the cache cannot be read; what cannot be deleted is spared.
 */
export async function freeUp(store: Store, goalBytes: number): Promise<FreedUp> {
  const tried = new Set<string>();
  const deleted: Deletion[] = [];
  const spared: Spared[] = [];
  for (;;) {
    store.signal?.throwIfAborted();
    const free = await freeBytes(store.home.cacheDirectory);
    const next = free < goalBytes ? await oldest(store, tried) : undefined;
    if (next === undefined) return { deleted, spared, freeBytes: free };
    tried.add(next.path);
    try {
      const footprint = await measureCandidate(store, next);
      if (await deleteCandidate(store, next, async () => mayGoForRoom(store, next)))
        deleted.push({ candidate: next, reason: 'room', footprint });
    } catch (error) {
      spared.push(spare(next, diskError(error, 'delete', next.path)));
    }
  }
}

async function oldest(store: Store, tried: ReadonlySet<string>): Promise<Candidate | undefined> {
  return (await freeToGo(store)).find((candidate) => !tried.has(candidate.path));
}

/** What of the cache may go to make room. The oldest first. */
export async function freeToGo(store: Store): Promise<Candidate[]> {
  const candidates = oldestFirst(await cacheCandidates(store));
  if (candidates.length === 0) return [];
  const used = await imagesInUse(store);
  return candidates.filter((candidate) => !isImageOf(used, candidate));
}

/** For one candidate, under its lock: a VM may have been started since it was chosen. */
export async function mayGoForRoom(store: Store, candidate: Candidate): Promise<boolean> {
  return !isImageOf(await imagesInUse(store), candidate);
}

function isImageOf(digests: ReadonlySet<string>, candidate: Candidate): boolean {
  return candidate.kind === 'image' && digests.has(path.basename(candidate.path));
}

/** What {@link freeUp} would delete. @param kept by other criteria gone already. */
export function chooseForRoom(candidates: readonly Candidate[], missingBytes: number): Chosen[] {
  const chosen: Chosen[] = [];
  let missing = missingBytes;
  for (const candidate of oldestFirst(candidates)) {
    if (missing <= 0) break;
    chosen.push({ candidate, reason: 'room' });
    missing -= candidate.bytes;
  }
  return chosen;
}
