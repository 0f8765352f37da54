import type { ServedContent } from '../contract/served-content.ts';
import type { RegistryEvent } from '../settings/event.ts';
import { exposition } from './exposition.ts';
import { RepositoryUses } from './repository-use.ts';
import { RequestCounts } from './request-counts.ts';
import { type ConnectionFacts, cacheFamilies, connectionFamilies, storeFamilies } from './store-families.ts';

/** Everything that is counted while a registry runs, from what it tells its log. */
export class Observations {
  readonly uses: RepositoryUses;
  /** Set by a server with connections of its own; not where requests of another server are answered. */
  connections: (() => ConnectionFacts) | undefined;
  readonly #counts = new RequestCounts();

  /** @param now epoch milliseconds. */
  constructor(now: () => number) {
    this.uses = new RepositoryUses(now);
  }

  observe(event: RegistryEvent): void {
    this.#counts.observe(event);
    this.uses.observe(event);
  }

  /** All metrics as text, of the type `EXPOSITION_TYPE`. */
  text(content: Pick<ServedContent, 'status' | 'facts'>): string {
    const store = content.status?.().facts();
    const cache = content.facts?.();
    return exposition([
      ...this.#counts.families(),
      ...(this.connections === undefined ? [] : connectionFamilies(this.connections())),
      ...(store === undefined ? [] : storeFamilies(store)),
      ...(cache === undefined ? [] : cacheFamilies(cache)),
    ]);
  }
}
