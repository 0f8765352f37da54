import type { Candidate } from './prune-candidate.ts';

/** What must go. Without any criterion, nothing. */
export interface PruneCriteria {
  /** What was used last so many milliseconds ago, or longer. */
  readonly olderThanMs?: number;
  /** What does not fit into so many bytes. */
  readonly budgetBytes?: number;
}

/** Why something must go: nobody used it for long, it does not fit, or nothing leads to it. */
export type PruneReason = 'age' | 'budget' | 'unreferenced';

export interface Chosen {
  readonly candidate: Candidate;
  readonly reason: PruneReason;
}

/**
 * Tart's rule (tart-cli §1.15): age first; of the rest, from the newest to the oldest, all that still fits is kept. An old small image may so
 * survive a newer large one. The oldest come first in the answer.
 */
export function chooseEntries(candidates: readonly Candidate[], criteria: PruneCriteria, now: Date): Chosen[] {
  const newestFirst = [...candidates].sort(byAge);
  const { olderThanMs, budgetBytes } = criteria;
  const chosen: Chosen[] = [];
  let left = budgetBytes ?? Number.POSITIVE_INFINITY;
  for (const candidate of newestFirst) {
    const age = now.getTime() - candidate.accessed.getTime();
    if (olderThanMs !== undefined && age >= olderThanMs) chosen.push({ candidate, reason: 'age' });
    else if (candidate.bytes > left) chosen.push({ candidate, reason: 'budget' });
    else left -= candidate.bytes;
  }
  return chosen.reverse();
}

/** Dates of use are whole seconds, so that many are equal: names decide then, the same way each time. */
function byAge(a: Candidate, b: Candidate): number {
  const difference = b.accessed.getTime() - a.accessed.getTime();
  if (difference !== 0) return difference;
  return a.path < b.path ? -1 : 1;
}
