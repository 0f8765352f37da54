import type { RegistryEvent } from '../settings/event.ts';

/** Repositories that are remembered; the one that was not used for longest is forgotten first. */
const MAX_REMEMBERED = 10_000;

/** How much a repository was used since this process began. */
export interface RepositoryUse {
  /** Manifests that were sent: about one for each pull. */
  readonly pulls: number;
  /** Manifests and blobs that were sent, or parts of them. */
  readonly answers: number;
  readonly sentBytes: number;
  /** Epoch milliseconds. */
  readonly lastUsedAt: number;
}

/** What clients get from each repository, counted in memory. */
export class RepositoryUses {
  /** The longest unused first. */
  readonly #uses = new Map<string, RepositoryUse>();
  readonly #now: () => number;

  /** @param now epoch milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Takes in one event; only content that was sent counts as use. */
  observe(event: RegistryEvent): void {
    if (event.kind !== 'request' || event.repository === undefined || event.method !== 'GET') return;
    if (event.route !== 'manifest' && event.route !== 'blob') return;
    if (event.status !== 200 && event.status !== 206) return;
    const before = this.#uses.get(event.repository);
    this.#uses.delete(event.repository);
    this.#uses.set(event.repository, {
      pulls: (before?.pulls ?? 0) + (event.route === 'manifest' ? 1 : 0),
      answers: (before?.answers ?? 0) + 1,
      sentBytes: (before?.sentBytes ?? 0) + event.sentBytes,
      lastUsedAt: this.#now(),
    });
    const oldest = this.#uses.keys().next();
    if (this.#uses.size > MAX_REMEMBERED && oldest.done !== true) this.#uses.delete(oldest.value);
  }

  /** @returns undefined for one that was not used, or whose use was forgotten. */
  of(repository: string): RepositoryUse | undefined {
    return this.#uses.get(repository);
  }
}
