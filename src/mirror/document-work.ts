import type { Digest } from '../names/digest.ts';
import type { JsonObject } from '../json/foreign.ts';
import type { RawManifest } from '../registry/manifest.ts';
import type { UpstreamAccess } from './access.ts';
import { SingleFlight } from './single-flight.ts';

/** Lists are given again for so long without asking, in milliseconds. */
const LIST_MS = 10_000;
const MOST_LISTS = 20;
/** Longer ones are not kept. */
const MOST_ENTRIES = 20_000;

/** What requests for manifests, tags and lists share. */
export class DocumentWork {
  readonly access: UpstreamAccess;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** How long a tag is believed. */
  readonly ttlMs: number;
  /** Told of what went wrong here without a client being told. */
  readonly onFault: (error: unknown) => void;
  readonly digests = new SingleFlight<Digest | undefined>();
  readonly manifests = new SingleFlight<RawManifest>();
  readonly tagLists: ShortLists<string>;
  readonly referrers: ShortLists<JsonObject>;

  constructor(settings: Pick<DocumentWork, 'access' | 'now' | 'ttlMs' | 'onFault'>) {
    this.access = settings.access;
    this.now = settings.now;
    this.ttlMs = settings.ttlMs;
    this.onFault = settings.onFault;
    const listMs = Math.min(LIST_MS, settings.ttlMs);
    this.tagLists = new ShortLists(settings.now, listMs);
    this.referrers = new ShortLists(settings.now, listMs);
  }
}

/** Lists that are kept for a few seconds: a client that reads one page after the other gets pages of one list. */
export class ShortLists<T> {
  readonly #now: () => number;
  readonly #keepMs: number;
  readonly #flights = new SingleFlight<readonly T[]>();
  readonly #held = new Map<string, { readonly entries: readonly T[]; readonly until: number }>();

  constructor(now: () => number, keepMs: number) {
    this.#now = now;
    this.#keepMs = keepMs;
  }

  /** @param key of what is asked and who asks. */
  async get(key: string, ask: () => Promise<readonly T[]>): Promise<readonly T[]> {
    const held = this.#held.get(key);
    if (held !== undefined && held.until > this.#now()) return held.entries;
    return this.#flights.run(key, async () => {
      const entries = await ask();
      this.#held.delete(key);
      if (entries.length <= MOST_ENTRIES) this.#held.set(key, { entries, until: this.#now() + this.#keepMs });
      for (const oldest of this.#held.keys()) {
        if (this.#held.size > MOST_LISTS) this.#held.delete(oldest);
      }
      return entries;
    });
  }
}
