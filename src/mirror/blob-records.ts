import path from 'node:path';
import * as v from 'valibot';
import { readSmallFileIfThere } from '../fs/small-file.ts';
import { parseRecord } from '../json/record.ts';
import type { Digest } from '../names/digest.ts';
import type { DataDirectory } from '../server/store/data-directory.ts';
import { SingleFlight } from './single-flight.ts';

/** A small blob (`{}`) may be in any number of repositories; of others than the latest, the upstream is asked again. */
const MOST_REPOSITORIES = 500;
/** Records that are kept in memory, too. */
const MOST_HELD = 10_000;
const MOST_RECORD_BYTES = 1024 * 1024;

const blobRecord = v.object({
  upstreams: v.array(
    v.object({
      upstream: v.string(),
      /** The whole came from there once, and was verified. */
      isVerified: v.boolean(),
      /** Bytes, as the upstream says. */
      size: v.number(),
      /** Those that have it, by the word of the upstream. */
      repositories: v.array(v.string()),
    }),
  ),
});

type BlobRecord = v.InferOutput<typeof blobRecord>;
type Known = BlobRecord['upstreams'][number];

/** What an upstream said of a blob. */
export interface BlobWord {
  readonly size: number;
  /**
   * Whether it has brought the whole once. Before that, what another upstream brought is not given for it: it may only
   * say that it has the blob, so that others give it away.
   */
  readonly isVerified: boolean;
}

/**
 * Which upstreams have which blob, and in which of their repositories: a blob is given only where the upstream has said
 * that it is there (reliability S44). One file for each digest, `records/<algorithm>/<2 digits>/<hex>`.
 */
export class BlobRecords {
  readonly #directory: DataDirectory;
  readonly #held = new Map<string, BlobRecord>();
  readonly #reads = new SingleFlight<BlobRecord>();
  /** By digest, one change after the other. */
  readonly #changes = new Map<string, Promise<void>>();

  constructor(directory: DataDirectory) {
    this.#directory = directory;
  }

  /** @returns undefined when the upstream has not said that this repository has it. */
  async find(digest: Digest, upstream: string, repository: string): Promise<BlobWord | undefined> {
    const record = await this.#read(digest);
    const known = record.upstreams.find((each) => each.upstream === upstream);
    return known?.repositories.includes(repository) === true ? known : undefined;
  }

  /** Whether the upstream has brought the whole once. */
  async isVerified(digest: Digest, upstream: string): Promise<boolean> {
    return (await this.#read(digest)).upstreams.some((each) => each.upstream === upstream && each.isVerified);
  }

  /** The upstream says that a repository has the blob. */
  async addRepository(digest: Digest, upstream: string, repository: string, size: number): Promise<void> {
    await this.#change(digest, upstream, (known) => {
      const others = known.repositories.filter((each) => each !== repository);
      return { ...known, size, repositories: [...others, repository].slice(-MOST_REPOSITORIES) };
    });
  }

  /** The upstream says that a repository does not have it, or not any more. */
  async removeRepository(digest: Digest, upstream: string, repository: string): Promise<void> {
    if ((await this.find(digest, upstream, repository)) === undefined) return;
    await this.#change(digest, upstream, (known) => {
      return { ...known, repositories: known.repositories.filter((each) => each !== repository) };
    });
  }

  /** The whole came from the upstream, and was verified. */
  async setVerified(digest: Digest, upstream: string): Promise<void> {
    await this.#change(digest, upstream, (known) => ({ ...known, isVerified: true }));
  }

  async #read(digest: Digest): Promise<BlobRecord> {
    const key = digest.toString();
    const held = this.#held.get(key);
    if (held !== undefined) return held;
    return this.#reads.run(key, async () => {
      const bytes = await readSmallFileIfThere(this.#path(digest), MOST_RECORD_BYTES);
      const record = parseRecord(blobRecord, bytes?.toString('utf8')) ?? { upstreams: [] };
      return this.#held.get(key) ?? this.#hold(key, record);
    });
  }

  async #change(digest: Digest, upstream: string, change: (known: Known) => Known): Promise<void> {
    const key = digest.toString();
    const work = async (): Promise<void> => {
      const record = await this.#read(digest);
      const known = record.upstreams.find((each) => each.upstream === upstream);
      const blank = { upstream, isVerified: false, size: 0, repositories: [] };
      const changed = change(known ?? blank);
      const next = { upstreams: [...record.upstreams.filter((each) => each !== known), changed] };
      if (known !== undefined && JSON.stringify(known) === JSON.stringify(changed)) return;
      await this.#directory.write(this.#path(digest), JSON.stringify(next));
      this.#hold(key, next);
    };
    const turn = (this.#changes.get(key) ?? Promise.resolve()).catch(() => undefined).then(work);
    this.#changes.set(key, turn);
    try {
      await turn;
    } finally {
      if (this.#changes.get(key) === turn) this.#changes.delete(key);
    }
  }

  #hold(key: string, record: BlobRecord): BlobRecord {
    this.#held.delete(key);
    this.#held.set(key, record);
    for (const oldest of this.#held.keys()) {
      if (this.#held.size > MOST_HELD) this.#held.delete(oldest);
    }
    return record;
  }

  #path({ algorithm, hex }: Digest): string {
    return path.join(this.#directory.root, 'records', algorithm, hex.slice(0, 2), hex);
  }
}
