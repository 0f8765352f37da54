import { createHash } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { ignoreMissing } from '../../fs/disk-error.ts';
import { listNames } from '../../fs/entry-names.ts';
import { lstatIfThere } from '../../fs/stats.ts';
import type { Digest } from '../../names/digest.ts';
import type { DataDirectory } from '../../server/store/data-directory.ts';
import { type BudgetLimits, CacheBudget } from './budget.ts';
import type { BlobCacheStats, BlobContent, BlobOrigin, CachedBlobs } from './contract.ts';
import { FlightContent } from './flight-content.ts';
import { Flight, type FlightEnd } from './flight.ts';
import { StoredBlobs } from './stored-blobs.ts';

/** How long a flight goes on that no client waits for, in milliseconds: one that lost its connection comes again. */
const GRACE = 30_000;

/** What the cache tells its listener. */
export type BlobCacheEvent = FlightEnd & { readonly digest: Digest; readonly upstream: string };

/** What the cache is made from. */
export interface BlobCacheSettings extends BudgetLimits {
  /** Made, locked and prepared. All that is in its `blobs/` counts, and may go. */
  readonly directory: DataDirectory;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** How long a flight that no client waits for goes on in any case, in milliseconds. Default: 30 s. */
  readonly graceMs?: number | undefined;
  /**
   * Told that an upstream has brought the whole of a blob, which is verified and not stored yet: that waits for it.
   */
  readonly onVerified?: ((digest: Digest, upstream: string) => Promise<void>) | undefined;
  /** Told how flights ended. */
  readonly onEvent?: ((event: BlobCacheEvent) => void) | undefined;
}

/**
 * Blobs below one directory: whole ones in `blobs/`, and `spool/<algorithm>-<hex>-<size>-<upstream>` for each that is
 * on its way or was begun. The directory is the only record; what is said in memory was read from it. A process that
 * ends at any moment leaves whole blobs whole, and begun ones to be gone on with.
 */
export class BlobCache implements CachedBlobs {
  readonly #settings: BlobCacheSettings;
  readonly #budget: CacheBudget;
  readonly #stored: StoredBlobs;
  /** By the name of the spool: those that can be joined. */
  readonly #flights = new Map<string, Flight>();
  /** By the same name: the last one that may still touch the spool. */
  readonly #last = new Map<string, Flight>();
  readonly #closing = new AbortController();
  #fetchedBytes = 0;
  #passedBytes = 0;
  #servedBytes = 0;
  #hits = 0;
  #misses = 0;

  private constructor(settings: BlobCacheSettings) {
    const { directory, now } = settings;
    this.#settings = settings;
    this.#budget = new CacheBudget(directory.root, settings);
    this.#stored = new StoredBlobs({
      directory,
      budget: this.#budget,
      now,
      onServed: (bytes) => this.#served(bytes),
    });
  }

  /** Reads what there is. @throws TartletError `DISK_*` */
  static async load(settings: BlobCacheSettings): Promise<BlobCache> {
    const cache = new BlobCache(settings);
    await cache.#loadSpools();
    await cache.#stored.load();
    await cache.#budget.shrink();
    return cache;
  }

  async find(digest: Digest): Promise<BlobContent | undefined> {
    const found = await this.#stored.find(digest);
    if (found !== undefined) this.#hits += 1;
    return found;
  }

  async open(digest: Digest, origin: BlobOrigin): Promise<BlobContent> {
    for (;;) {
      const found = origin.onlyOwn === true ? undefined : await this.find(digest);
      if (found !== undefined) return found;
      const size = await origin.size(this.#closing.signal);
      // It may have been stored meanwhile.
      if (origin.onlyOwn !== true && this.#stored.has(digest)) continue;
      this.#misses += 1;
      return new FlightContent(this.#flight(digest, size, origin.upstream), origin, {
        onPassed: (bytes) => {
          this.#fetchedBytes += bytes;
          this.#passedBytes += bytes;
        },
        onServed: (bytes) => this.#served(bytes),
      });
    }
  }

  stats(): BlobCacheStats {
    return {
      stored: this.#budget.blobs,
      heldBytes: this.#budget.bytes,
      flights: this.#flights.size,
      fetchedBytes: this.#fetchedBytes,
      passedBytes: this.#passedBytes,
      servedBytes: this.#servedBytes,
      hits: this.#hits,
      misses: this.#misses,
      evicted: this.#budget.evicted,
    };
  }

  /** Ends every flight; what has arrived stays. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#last.values()].map(async (flight) => flight.stop()));
  }

  #served(bytes: number): void {
    this.#servedBytes += bytes;
  }

  /**
   * The flight to join. Only those who say the same size of the same upstream have one, because a manifest may say
   * anything of a blob, and its author must not be able to break the downloads of others.
   */
  #flight(digest: Digest, size: number, upstream: string): Flight {
    const name = spoolName(digest, size, upstream);
    const there = this.#flights.get(name);
    if (there !== undefined) return there;
    const flight = new Flight({
      digest,
      size,
      spool: path.join(this.#spools, name),
      budget: this.#budget,
      stored: this.#stored,
      graceMs: this.#settings.graceMs ?? GRACE,
      onVerified: async () => this.#settings.onVerified?.(digest, upstream),
      after: this.#last.get(name)?.done ?? Promise.resolve(),
      onFetched: (bytes) => {
        this.#fetchedBytes += bytes;
      },
      onEnd: (end) => {
        if (this.#flights.get(name) === flight) this.#flights.delete(name);
        void this.#forgetAfter(name, flight);
        this.#settings.onEvent?.({ ...end, digest, upstream });
      },
    });
    this.#flights.set(name, flight);
    this.#last.set(name, flight);
    return flight;
  }

  async #forgetAfter(name: string, flight: Flight): Promise<void> {
    await flight.done;
    if (this.#last.get(name) === flight) this.#last.delete(name);
  }

  get #spools(): string {
    return path.join(this.#settings.directory.root, 'spool');
  }

  /** Counts what flights before this process left, and removes what is no spool. */
  async #loadSpools(): Promise<void> {
    await mkdir(this.#spools, { recursive: true });
    for (const name of await listNames(this.#spools)) {
      const file = path.join(this.#spools, name);
      const found = await lstatIfThere(file);
      if (found?.isFile() === true && SPOOL_NAME.test(name)) this.#budget.add('spool', file, found.size);
      else await rm(file, { recursive: true, force: true }).catch(ignoreMissing);
    }
  }
}

const SPOOL_NAME = /^(?:sha256-[0-9a-f]{64}|sha512-[0-9a-f]{128})-\d{1,16}-[0-9a-f]{16}$/;

function spoolName({ algorithm, hex }: Digest, size: number, upstream: string): string {
  // Hashed, because the text may have characters that a name cannot have.
  const place = createHash('sha256').update(upstream).digest('hex').slice(0, 16);
  return `${algorithm}-${hex}-${size}-${place}`;
}
