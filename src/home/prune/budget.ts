import { isTartletError, TartletError } from '../../errors.ts';
import { humanBytes } from '../../names/byte-count.ts';
import { mayGoForRoom, prunable } from './free-up.ts';
import { cacheCandidates, type Candidate, type Store } from './prune-candidate.ts';
import { deleteCandidate } from './prune-delete.ts';

/** What the cache may have in all, and what is to come. */
export interface Budget {
  /** Bytes on the disk that all images and restore images together may have. */
  readonly bytes: number;
  /** Bytes that are to come at most. */
  readonly needed: number;
  /** What they are for, for messages. */
  readonly subject: string;
}

/**
 * Deletes what was not used for longest until there is room in a budget, and no more. What is pinned, used by another
 * command, or the image of a VM that runs, stays; where it could not be enough, nothing is deleted.
 *
 * @returns what was deleted.
 * @throws TartletError `DISK_FULL` when it does not fit all the same, `DISK_*` when the cache cannot be read.
 */
export async function fitBudget(store: Store, budget: Budget): Promise<Candidate[]> {
  const deleted: Candidate[] = [];
  let free = budget.bytes - sumOf(await cacheCandidates(store));
  if (free >= budget.needed) return deleted;
  const candidates = await prunable(store);
  if (free + sumOf(candidates) < budget.needed) throw beyond(budget, free + sumOf(candidates));
  for (const candidate of candidates) {
    if (free >= budget.needed) break;
    store.signal?.throwIfAborted();
    try {
      if (!(await deleteCandidate(store, candidate, async () => mayGoForRoom(store, candidate)))) continue;
      deleted.push(candidate);
      free += candidate.bytes;
    } catch (error) {
      // Another command has begun to use it.
      if (!isTartletError(error, 'BUSY')) throw error;
    }
  }
  if (free < budget.needed) throw beyond(budget, free);
  return deleted;
}

function sumOf(candidates: readonly Candidate[]): number {
  return candidates.reduce((sum, { bytes }) => sum + bytes, 0);
}

function beyond({ bytes, needed, subject }: Budget, free: number): TartletError {
  const [wanted, all, room] = [needed, bytes, Math.max(0, free)].map((each) => humanBytes(each, 1));
  return new TartletError(
    'DISK_FULL',
    `${subject} needs up to ${wanted}, and of the budget of ${all} only ${room} can be free`,
    { subject, kept: 'nothing was fetched', next: { kind: 'raise-disk-budget' } },
  );
}
