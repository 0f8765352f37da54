import type { RemoteName } from '../names/remote-name.ts';
import type { HostLinkFact, ImageFact, LinkFact } from './cache-facts.ts';
import type { SkipReason } from './destination.ts';
import type { EvidenceSource } from './evidence.ts';

/** A symlink that is written anew: where it is, or elsewhere, and then the old one goes. */
export interface LinkMove {
  readonly link: LinkFact;
  readonly to: string;
  readonly text: string;
}

/** What happens to one image and to the symlinks that lead to it, under the lock of its digest. */
export interface Relocation {
  readonly image: ImageFact;
  /** What its record must say before a symlink forgets it; undefined when nothing is forgotten. */
  readonly record: RemoteName | undefined;
  /** Undefined when only symlinks change. */
  readonly to: { readonly name: RemoteName; readonly path: string; readonly by: EvidenceSource } | undefined;
  readonly links: readonly LinkMove[];
  /** Symlinks that go, because another one has their place. */
  readonly superseded: readonly LinkFact[];
  /** Whether symlinks lead to it in the end, so that it needs no mark of ours. */
  readonly isLinked: boolean;
}

/** A link to a host directory that is written anew. */
export interface HostLinkMove {
  readonly link: HostLinkFact;
  readonly text: string;
}

/** Something that stays, and why. */
export interface Skipped {
  readonly path: string;
  readonly what: 'image' | 'tag';
  readonly because: SkipReason;
}

/** Everything that migration would do, in the order of the fields. */
export interface Plan {
  /** Images to be marked, because a collection of Tart's would find nothing that leads to them, now or on the way. */
  readonly protect: readonly ImageFact[];
  /** Symlinks of the user that stand where directories must be. */
  readonly inTheWay: readonly HostLinkFact[];
  readonly relocations: readonly Relocation[];
  readonly hostLinks: readonly HostLinkMove[];
  /** What stays although it is not as it should be. No work, and no reason to try again. */
  readonly stays: readonly Skipped[];
}

/** Whether a plan has anything to do. */
export function hasWork(plan: Plan): boolean {
  return plan.protect.length + plan.relocations.length + plan.hostLinks.length > 0;
}

/** Told of each change on the disk right before it. For tests, which end everything there. */
export type StepHook = (step: string) => void | Promise<void>;
