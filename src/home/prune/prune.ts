import { TartletError } from '../../errors.ts';
import { isUnreferenced, unreferencedImages } from './collect.ts';
import { type DanglingTag, danglingTags, removeDanglingTag } from './dangling-tag.ts';
import { diskError } from '../../fs/disk-error.ts';
import { chooseForRoom, type FreedUp, freeToGo, freeUp } from './free-up.ts';
import { cacheCandidates, type Candidate, type Spared, spare, type Store, vmCandidates } from './prune-candidate.ts';
import { chooseEntries, type Chosen, type PruneCriteria } from './prune-choice.ts';
import { deleteCandidate } from './prune-delete.ts';
import { type Deletion, measureCandidate } from './prune-measure.ts';
import { freeBytes } from '../../fs/space.ts';
import { sweep } from './sweep.ts';

export interface PruneRequest extends PruneCriteria {
  /** Pulled images and restore images, or local VMs that do not run. */
  readonly entries: 'caches' | 'vms';
  /** Also remove tags that lead to nothing, and images that nothing leads to. Default: no. */
  readonly collect?: boolean;
  /** When everything else is done, delete the oldest of the cache until so many bytes are free on its disk. */
  readonly freeBytes?: number | undefined;
  /** Only say what would be deleted. Default: no. */
  readonly dryRun?: boolean;
}

/** What pruning did, or would do. */
export interface PruneReport {
  /** What was deleted, or with `dryRun` would be, in that order. */
  readonly deleted: readonly Deletion[];
  readonly danglingTags: readonly DanglingTag[];
  /** What was to go and could not: in use, or refused by the disk. */
  readonly spared: readonly Spared[];
  /** Bytes that are free on the disk of the cache in the end; undefined when the caller asked for no room. */
  readonly freeBytes: number | undefined;
}

/**
 * Deletes what the criteria choose, tags together with their image (tart-cli §7 #18). One entry that is in use or
 * cannot be deleted does not stop it, unlike in Tart (tart-cli §7 #21): it is spared and reported; one that cannot be
 * looked at is passed over. What was used since the choice was made stays (reliability P15). It works on a full disk,
 * because that is when it is needed (reliability D29).
 *
 * @throws TartletError `DISK_*` when the home cannot be read, `STORE_DAMAGED` when it cannot be told which shared disk
 * files are needed.
 */
export async function prune(home: Store, request: PruneRequest): Promise<PruneReport> {
  const store = atOneMoment(home);
  const dryRun = request.dryRun ?? false;
  if (!dryRun) await sweep(store);
  const dangling = request.collect === true ? await danglingTags(store) : [];
  const chosen = await choose(store, request);
  if (dryRun) return preview(store, request, { chosen, dangling });

  const removedTags: DanglingTag[] = [];
  for (const tag of dangling) if (await removeDanglingTag(store, tag)) removedTags.push(tag);
  const deleted: Deletion[] = [];
  const spared: Spared[] = [];
  for (const each of chosen) {
    store.signal?.throwIfAborted();
    try {
      const footprint = await measureCandidate(store, each.candidate);
      if (await deleteChosen(store, each)) deleted.push({ ...each, footprint });
    } catch (error) {
      spared.push(spare(each.candidate, diskError(error, 'delete', each.candidate.path)));
    }
  }
  const room = await makeRoom(store, request);
  if (request.collect === true) await collectContent(store);
  return {
    deleted: [...deleted, ...(room?.deleted ?? [])],
    danglingTags: removedTags,
    spared: [...spared, ...(room?.spared ?? [])],
    freeBytes: room?.freeBytes,
  };
}

/**
 * Ages are compared several times; a clock that goes on meanwhile would make a date in the future look like a new use.
 */
function atOneMoment(store: Store): Store {
  const now = store.now();
  const { home, images, vms, contents, platform, signal } = store;
  return { home, images, vms, contents, platform, now: () => now, signal };
}

async function choose(store: Store, request: PruneRequest): Promise<Chosen[]> {
  const collected = request.collect === true ? await unreferencedImages(store) : [];
  const candidates = await candidatesOf(store, request);
  const gone = new Set(collected.map((image) => image.path));
  const rest = candidates.filter((candidate) => !gone.has(candidate.path));
  return [
    ...collected.map((candidate) => ({ candidate, reason: 'unreferenced' as const })),
    ...chooseEntries(rest, request, store.now()),
  ];
}

async function candidatesOf(store: Store, { entries }: PruneRequest): Promise<Candidate[]> {
  return entries === 'vms' ? vmCandidates(store) : cacheCandidates(store);
}

async function preview(
  store: Store,
  request: PruneRequest,
  { chosen, dangling }: { readonly chosen: readonly Chosen[]; readonly dangling: readonly DanglingTag[] },
): Promise<PruneReport> {
  const deleted: Deletion[] = [];
  for (const each of chosen) deleted.push({ ...each, footprint: await measureCandidate(store, each.candidate) });
  let free: number | undefined;
  if (request.freeBytes !== undefined) {
    free = deleted.reduce((sum, { candidate }) => sum + candidate.bytes, await freeBytes(store.home.cacheDirectory));
    const gone = new Set(deleted.map(({ candidate }) => candidate.path));
    const rest = (await freeToGo(store)).filter(({ path }) => !gone.has(path));
    for (const each of chooseForRoom(rest, request.freeBytes - free)) {
      deleted.push({ ...each, footprint: await measureCandidate(store, each.candidate) });
      free += each.candidate.bytes;
    }
  }
  return { deleted, danglingTags: dangling, spared: [], freeBytes: free };
}

async function makeRoom(store: Store, request: PruneRequest): Promise<FreedUp | undefined> {
  return request.freeBytes === undefined ? undefined : freeUp(store, request.freeBytes);
}

/**
 * Files that stacked images shared and no image names any more (tart-formats §1.5 step 4); deleting the last image of
 * one does this too.
 */
async function collectContent(store: Store): Promise<void> {
  const { refrained } = await store.contents.collectAlone(store.signal);
  if (refrained === undefined) return;
  throw new TartletError('STORE_DAMAGED', `unused disk files were not deleted: ${refrained}`, {
    kept: 'everything else was done; any of these files may be needed',
    next: { kind: 'repair-and-prune' },
  });
}

async function deleteChosen(store: Store, { candidate, reason }: Chosen): Promise<boolean> {
  return deleteCandidate(store, candidate, async (image) => reason !== 'unreferenced' || isUnreferenced(store, image));
}
