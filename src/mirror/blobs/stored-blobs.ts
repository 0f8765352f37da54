import { utimes } from 'node:fs/promises';
import type { Digest } from '../../names/digest.ts';
import type { Content } from '../../server/contract/content.ts';
import { ContentStore } from '../../server/store/content-store.ts';
import type { DataDirectory } from '../../server/store/data-directory.ts';
import type { CacheBudget, HeldFile } from './budget.ts';
import type { BlobContent } from './contract.ts';
import { type OpenBlob, StoredContent } from './stored-content.ts';

/** The time of a file is that of its last use, as exactly as this: in milliseconds. */
const TOUCH_EVERY = 60_000;

/** What stored blobs are used with. */
export interface StoredBlobsSettings {
  readonly directory: DataDirectory;
  readonly budget: CacheBudget;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Told how many bytes were read for a client. */
  readonly onServed: (bytes: number) => void;
}

/**
 * Blobs that are whole and verified: only such ones have a name in `blobs/` (reliability I1). Whatever number reads
 * one, it takes one descriptor.
 */
export class StoredBlobs {
  readonly #settings: StoredBlobsSettings;
  readonly #contents: ContentStore;
  readonly #open = new Map<HeldFile, OpenBlob>();
  readonly #touched = new WeakMap<HeldFile, number>();
  /** Stored or checked by this process. */
  readonly #checked = new WeakSet<HeldFile>();

  constructor(settings: StoredBlobsSettings) {
    this.#settings = settings;
    this.#contents = new ContentStore(settings.directory);
  }

  /** Counts what a process before this one stored, the longest unused first. */
  async load(): Promise<void> {
    const { directory, budget } = this.#settings;
    const found: { readonly digest: Digest; readonly size: number; readonly pushedAt: number }[] = [];
    for await (const entry of this.#contents.entries()) found.push(entry);
    found.sort((one, other) => one.pushedAt - other.pushedAt);
    for (const { digest, size } of found) budget.add('blob', directory.blob(digest), size);
  }

  has(digest: Digest): boolean {
    return this.#held(digest) !== undefined;
  }

  /** @returns undefined for one that is not here. The caller closes. */
  async find(digest: Digest): Promise<BlobContent | undefined> {
    const held = this.#held(digest);
    if (held === undefined) return undefined;
    const { budget } = this.#settings;
    // Before anything is waited for: what is in use is not removed.
    budget.use(held);
    const open = this.#open.get(held) ?? this.#begin(held, digest);
    this.#open.set(held, open);
    open.readers += 1;
    try {
      const content = await open.content;
      if (content?.size === held.bytes) {
        await this.#touch(held);
        return this.#reader(held, open, content);
      }
      // Another program has removed or changed it.
      await budget.remove(held);
    } catch (error) {
      await this.#release(held, open);
      throw error;
    }
    await this.#release(held, open);
    return undefined;
  }

  /**
   * Stores a spool whose bytes were fsynced and **have been verified**.
   * @returns the blob, in use: the spool is open.
   */
  async adopt(spool: string, digest: Digest, size: number): Promise<HeldFile> {
    const { budget, directory } = this.#settings;
    await this.#contents.adopt(spool, digest);
    const before = this.#held(digest);
    if (before !== undefined) budget.forget(before);
    const held = budget.add('blob', directory.blob(digest), size);
    budget.use(held);
    this.#checked.add(held);
    return held;
  }

  #begin(held: HeldFile, digest: Digest): OpenBlob {
    const check = this.#checked.has(held) ? 'done' : 'unknown';
    const content = this.#contents.open(digest);
    return { digest, size: held.bytes, content, readers: 0, isDamaged: false, check };
  }

  #held(digest: Digest): HeldFile | undefined {
    return this.#settings.budget.get(this.#settings.directory.blob(digest));
  }

  #reader(held: HeldFile, open: OpenBlob, content: Content): BlobContent {
    return new StoredContent(open, content, {
      onServed: this.#settings.onServed,
      // It is fetched again when it is asked for next (reliability D9, D10).
      onDamaged: async () => this.#settings.budget.remove(held),
      onChecked: () => this.#checked.add(held),
      onClosed: async () => this.#release(held, open),
    });
  }

  async #release(held: HeldFile, open: OpenBlob): Promise<void> {
    this.#settings.budget.rest(held);
    open.readers -= 1;
    if (open.readers > 0) return;
    this.#open.delete(held);
    const content = await open.content.catch(() => undefined);
    await content?.close();
  }

  /** Keeps the order of use for the next process; that it cannot is no reason to refuse the blob. */
  async #touch(held: HeldFile): Promise<void> {
    const now = this.#settings.now();
    if (now - (this.#touched.get(held) ?? 0) < TOUCH_EVERY) return;
    this.#touched.set(held, now);
    await utimes(held.path, now / 1000, now / 1000).catch(() => undefined);
  }
}
