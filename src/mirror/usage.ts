import type { CachedRepository } from '../server/contract/cache-facts.ts';

/** Repositories whose numbers are remembered; of others only the latest. */
const MOST = 1_000;

/** What is counted. */
export type Counter = 'hits' | 'misses' | 'stale' | 'failures' | 'servedBytes' | 'fetchedBytes';

type Numbers = { -readonly [name in keyof CachedRepository]: CachedRepository[name] };

/** Counts what the cache does for one repository. */
export interface RepositoryUsage {
  count(what: Counter, by?: number): void;
  /** Whether everybody may read it, as the upstream last said. */
  isPublic(is: boolean): void;
}

/** Counts for all repositories, in memory alone. */
export class Usage {
  readonly #now: () => number;
  readonly #numbers = new Map<string, Numbers>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The latest used first. */
  get repositories(): readonly CachedRepository[] {
    return [...this.#numbers.values()].reverse();
  }

  of(upstream: string, repository: string): RepositoryUsage {
    const key = `${upstream}/${repository}`;
    return {
      count: (what, by = 1) => {
        // Clients may ask for any name: one that nothing came of is not remembered.
        if (what === 'failures' && !this.#numbers.has(key)) return;
        this.#used(key, upstream, repository)[what] += by;
      },
      isPublic: (is) => {
        if (is || this.#numbers.has(key)) this.#used(key, upstream, repository).isPublic = is;
      },
    };
  }

  #used(key: string, upstream: string, repository: string): Numbers {
    const zero = { hits: 0, misses: 0, stale: 0, failures: 0, servedBytes: 0, fetchedBytes: 0 };
    const numbers = this.#numbers.get(key) ?? { upstream, repository, isPublic: false, lastUse: 0, ...zero };
    numbers.lastUse = this.#now();
    this.#numbers.delete(key);
    this.#numbers.set(key, numbers);
    for (const oldest of this.#numbers.keys()) {
      if (this.#numbers.size > MOST) this.#numbers.delete(oldest);
    }
    return numbers;
  }
}
