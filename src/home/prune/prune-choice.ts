import type { Candidate } from './prune-candidate.ts';

/** What must go. Without any criterion, nothing. */
export interface PruneCriteria {
  /** What was used last so many milliseconds ago, or longer. */
  readonly olderThanMs?: number | undefined;
  /** What does not fit into so many bytes. */
  readonly budgetBytes?: number | undefined;
}

/**
 * Why something must go: it was not used for long, it does not fit into the budget, nothing leads to it, or room is
 * needed.
 */
export type PruneReason = 'age' | 'budget' | 'unreferenced' | 'room';

export interface Chosen {
  readonly candidate: Candidate;
  readonly reason: PruneReason;
}

/**
 * Tart's rule (tart-cli §1.15): age first; of the rest, from the newest to the oldest, all that still fits is kept. An
 * old small image may so survive a newer large one. What is pinned stays and takes its room first. The oldest come
 * first in the answer.
 */
export function chooseEntries(candidates: readonly Candidate[], criteria: PruneCriteria, now: Date): Chosen[] {
  const { olderThanMs, budgetBytes } = criteria;
  const chosen: Chosen[] = [];
  let left = budgetBytes ?? Number.POSITIVE_INFINITY;
  for (const { pinned, bytes } of candidates) if (pinned) left -= bytes;
  for (const candidate of oldestFirst(candidates).reverse()) {
    const age = now.getTime() - candidate.accessed.getTime();
    if (olderThanMs !== undefined && age >= olderThanMs) chosen.push({ candidate, reason: 'age' });
    else if (candidate.bytes > left) chosen.push({ candidate, reason: 'budget' });
    else left -= candidate.bytes;
  }
  return chosen.reverse();
}

/**
 * What may go, in the order in which it should. Dates of use are often equal: paths decide then, the same way each
 * time. What is pinned is not among them.
 */
export function oldestFirst(candidates: readonly Candidate[]): Candidate[] {
  return candidates.filter((candidate) => !candidate.pinned).sort(byAge);
}

function byAge(a: Candidate, b: Candidate): number {
  const difference = a.accessed.getTime() - b.accessed.getTime();
  if (difference !== 0) return difference;
  return a.path < b.path ? 1 : -1;
}
