import { type Footprint, measureFile, measureDirectory } from './footprint.ts';
import type { Candidate, Store } from './prune-candidate.ts';
import type { Chosen } from './prune-choice.ts';

/** Something that was or would be deleted, and what that frees. */
export interface Deletion extends Chosen {
  readonly footprint: Footprint;
}

/** @throws TartletError `DISK_*` */
export async function measureCandidate(store: Store, candidate: Candidate): Promise<Footprint> {
  return candidate.kind === 'ipsw' ? measureFile(candidate.path) : measureDirectory(store, candidate.path);
}
