import { rm } from 'node:fs/promises';
import path from 'node:path';
import { TartletError, unreachable } from '../errors.ts';
import { diskError, onDisk } from './disk-error.ts';
import { flushFolder } from './folder.ts';
import { lockToDelete } from './image-lock.ts';
import { decodeDigestFolder } from './layout.ts';
import { hasWriteLock } from './write-lock.ts';
import { accessedNow, cacheCandidates, type Candidate, type Store, vmCandidates } from './prune-candidate.ts';
import { chooseEntries, type Chosen, type PruneCriteria } from './prune-choice.ts';
import {
  type DanglingTag,
  danglingTags,
  isUnreferenced,
  removeDanglingTag,
  unreferencedImages,
} from './unreferenced.ts';
import { VmFile } from './vm-folder.ts';

export interface PruneRequest extends PruneCriteria {
  /** Pulled images and restore images, or local VMs that do not run. */
  readonly entries: 'caches' | 'vms';
  /** Also remove tags that lead to nothing, and images that nothing leads to. Default: no. */
  readonly collect?: boolean;
  /** Only say what would be deleted. Default: no. */
  readonly dryRun?: boolean;
}

/** Something that was chosen and not deleted. */
export interface Spared {
  readonly candidate: Candidate;
  /** `BUSY` when somebody uses it; everything else is a failure. */
  readonly error: TartletError;
}

export interface PruneReport {
  /** What was deleted, or with `dryRun` would be, in that order. */
  readonly deleted: readonly Chosen[];
  readonly danglingTags: readonly DanglingTag[];
  readonly spared: readonly Spared[];
}

/**
 * Deletes what the criteria choose, tags together with their image (tart-cli §7 #18). One entry that is in use or cannot be deleted does not
 * stop it, unlike in Tart (§7 #21): it is spared and reported. What was used since the choice was made stays (reliability P15).
 * It works on a full disk, because that is when it is needed (reliability D29).
 *
 * @throws TartletError `DISK_*` when the home cannot be read, `STORE_DAMAGED` when it cannot be told which shared disk files are needed.
 */
export async function prune(store: Store, request: PruneRequest): Promise<PruneReport> {
  const now = store.now();
  const dangling = request.collect === true ? await danglingTags(store) : [];
  const collected = request.collect === true ? await unreferencedImages(store) : [];
  const gone = new Set(collected.map((candidate) => candidate.path));
  const candidates = request.entries === 'vms' ? await vmCandidates(store) : cacheCandidates(store);
  const chosen: Chosen[] = [
    ...collected.map((candidate) => ({ candidate, reason: 'unreferenced' as const })),
    ...chooseEntries(
      candidates.filter((candidate) => !gone.has(candidate.path)),
      request,
      now,
    ),
  ];
  if (request.dryRun === true) return { deleted: chosen, danglingTags: dangling, spared: [] };

  const removedTags: DanglingTag[] = [];
  for (const tag of dangling) if (await removeDanglingTag(store, tag)) removedTags.push(tag);
  const deleted: Chosen[] = [];
  const spared: Spared[] = [];
  for (const each of chosen) {
    store.signal?.throwIfAborted();
    try {
      if (await deleteChosen(store, each)) deleted.push(each);
    } catch (error) {
      spared.push({ candidate: each.candidate, error: diskError(error, 'delete', each.candidate.path) });
    }
  }
  if (request.collect === true) await collectContent(store);
  return { deleted, danglingTags: removedTags, spared };
}

/** Files that stacked images shared and nobody names any more (tart-formats §1.5 step 4); deleting the last image of one does this too. */
async function collectContent(store: Store): Promise<void> {
  const { refrained } = await store.contents.collectAlone(store.signal);
  if (refrained === undefined) return;
  throw new TartletError('STORE_DAMAGED', `disk files that nobody uses were not deleted: ${refrained}`, {
    kept: 'everything else was done; a VM may need any of these files',
    next: 'repair or delete that VM and prune again',
  });
}

/** @returns false when there is nothing to do any more: it is gone, or was used meanwhile. */
async function deleteChosen(store: Store, { candidate, reason }: Chosen): Promise<boolean> {
  switch (candidate.kind) {
    case 'image':
      return deleteImage(store, candidate, reason === 'unreferenced');
    case 'vm':
      if (!isUnused(candidate)) return false;
      await store.vms.delete(candidate.name);
      return true;
    case 'ipsw':
      if (!isUnused(candidate)) return false;
      await onDisk('delete', candidate.path, async () => rm(candidate.path, { force: true }));
      await flushFolder(path.dirname(candidate.path));
      return true;
    default:
      return unreachable(candidate);
  }
}

async function deleteImage(
  store: Store,
  candidate: Extract<Candidate, { kind: 'image' }>,
  unreferenced: boolean,
): Promise<boolean> {
  const digest = decodeDigestFolder(path.basename(candidate.path));
  if (digest === undefined) throw new TartletError('INTERNAL', `${candidate.path} is no image`);
  const lock = await lockToDelete(store.images, digest);
  if (lock === 'busy') throw busy(candidate);
  try {
    if (!isUnused(candidate)) return false;
    if (unreferenced && !(await isUnreferenced(store, candidate))) return false;
    if (await isHeldByTart(store, candidate)) throw busy(candidate);
    await store.images.deleteLocked(candidate.name, digest);
    return true;
  } finally {
    if (lock !== 'needless') await lock.release();
  }
}

/** Whoever uses an entry sets its date, under the lock that we hold now. */
function isUnused(candidate: Candidate): boolean {
  return accessedNow(candidate)?.getTime() === candidate.accessed.getTime();
}

/** Tart locks the configuration of what it pushes (tart-cli §4.3). */
async function isHeldByTart(store: Store, candidate: Candidate): Promise<boolean> {
  return hasWriteLock(`${candidate.path}/${VmFile.config}`, store.platform);
}

function busy(candidate: Candidate): TartletError {
  return new TartletError('BUSY', `${candidate.name.toString()} is being used by another command`, {
    subject: candidate.name.toString(),
    kept: 'it was left alone',
    retryable: true,
  });
}
