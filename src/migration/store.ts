import type { Store } from '../home/prune/prune-candidate.ts';

/** The parts of a home that migration works on; a `Session` is one. */
export type MigrationStore = Pick<Store, 'home' | 'images' | 'contents' | 'platform' | 'now' | 'signal'>;
