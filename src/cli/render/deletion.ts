import type { Footprint } from '../../home/prune/footprint.ts';
import type { KeptBy } from '../../home/images/image-removal.ts';
import type { Deleted } from '../../home/prune/measured-delete.ts';
import type { Candidate } from '../../home/prune/prune-candidate.ts';
import type { PruneReason } from '../../home/prune/prune-choice.ts';
import type { Deletion } from '../../home/prune/prune-measure.ts';
import { unreachable } from '../../errors.ts';
import { joined, type Printable, printable, printableLine } from '../terminal/printable.ts';
import { humanBytes, unusedFor } from './quantity.ts';

/** Whether it was done or only would be. */
export type Mood = 'would' | 'did';

/**
 * What is deleted and why, on two lines: the name; then when it was used last, what it occupies, and how much of that
 * becomes free, because what other images or VMs share stays.
 */
export function renderDeletion({ candidate, reason, footprint }: Deletion, now: Date, mood: Mood): Printable {
  const { allocatedBytes, reclaimableBytes } = footprint;
  const facts = [
    `last used ${unusedFor(now.getTime() - candidate.accessed.getTime())}`,
    ...reasonText(reason),
    `${humanBytes(allocatedBytes, 1)} allocated`,
    freedText(allocatedBytes, reclaimableBytes, mood),
  ];
  const what = `${mood === 'would' ? 'would delete' : 'deleted'} ${namesOf(candidate)}`;
  return joined([printableLine(what), printableLine(`  ${facts.join(', ')}`)]);
}

/** How much of all that becomes free, at least: what is shared with others may be freed too when they all go. */
export function renderFreed(deletions: readonly Deletion[], mood: Mood): Printable {
  const known = deletions.reduce((sum, { footprint }) => sum + (footprint.reclaimableBytes ?? 0), 0);
  const isExact = deletions.every(({ footprint }) => footprint.sharedBytes === 0);
  const bytes = `${isExact ? '' : 'at least '}${humanBytes(known, 1)}`;
  return printableLine(`${deletions.length} in all: ${bytes} ${mood === 'would' ? 'would be freed' : 'freed'}`);
}

/** What `delete` did to a name, and what that made free, on one line. */
export function renderDeleted(name: string, deleted: Deleted): string {
  const shown = printable(name);
  switch (deleted.kind) {
    case 'vm':
    case 'image':
      return `deleted ${shown}${deleted.footprint === undefined ? '' : `: ${freedBytes(deleted.footprint)}`}`;
    case 'tag': {
      const why = deleted.keptBy === undefined ? '' : `: its image stays, because ${WHY_KEPT[deleted.keptBy]}`;
      return `removed the tag ${shown}${why}`;
    }
    default:
      return unreachable(deleted);
  }
}

const WHY_KEPT: Readonly<Record<KeptBy, string>> = {
  tag: 'another tag leads to it',
  'explicit-pull': 'it was pulled by its digest',
  pin: 'it is pinned',
};

function freedBytes({ allocatedBytes, reclaimableBytes }: Footprint): string {
  const allocated = humanBytes(allocatedBytes, 1);
  if (reclaimableBytes === undefined) return `${allocated} allocated, how much of it is shared cannot be told here`;
  if (reclaimableBytes === allocatedBytes) return `${allocated} freed`;
  return `${humanBytes(reclaimableBytes, 1)} of ${allocated} freed: the rest is shared`;
}

/** Tags say more to people than digests. */
function namesOf(candidate: Candidate): string {
  if (candidate.kind !== 'image' || candidate.tags.length === 0) return candidate.name.toString();
  return candidate.tags.map((tag) => tag.toString()).join(', ');
}

function reasonText(reason: PruneReason): string[] {
  switch (reason) {
    case 'age':
      return [];
    case 'budget':
      return ['does not fit into the budget'];
    case 'unreferenced':
      return ['no tag leads to it'];
    case 'room':
      return ['room is needed'];
    default:
      return unreachable(reason);
  }
}

function freedText(allocated: number, reclaimable: number | undefined, mood: Mood): string {
  if (reclaimable === undefined) return 'how much of it is shared cannot be told here';
  const verb = mood === 'would' ? 'would be freed' : 'freed';
  if (reclaimable === allocated) return mood === 'would' ? 'all of it would be freed' : 'all of it freed';
  return `${humanBytes(reclaimable, 1)} ${verb}: the rest is shared`;
}
