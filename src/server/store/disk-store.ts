import type { StoreFacts, StoreStatus } from '../contract/store-status.ts';
import type { Stores } from '../contract/stores.ts';
import type { Settings } from '../settings/options.ts';
import { DiskBlobs } from './disk-blobs.ts';
import { DiskManifests } from './disk-manifests.ts';
import { DiskTags } from './disk-tags.ts';
import { collectGarbage, type GarbageReport } from './garbage.ts';
import { RepositoryTree } from './repository-tree.ts';
import { Storage } from './storage.ts';
import { StoredSize } from './stored-size.ts';
import { DiskUploads } from './uploads.ts';

/** A registry's content below one directory, between {@link open} and {@link close}. */
export class DiskStore implements Stores {
  readonly blobs: DiskBlobs;
  readonly manifests: DiskManifests;
  readonly tags: DiskTags;
  readonly uploads: DiskUploads;
  readonly catalog: RepositoryTree;
  readonly status: StoreStatus;
  readonly #size: StoredSize;
  #collected = { runs: 0, blobs: 0, bytes: 0 };
  readonly #storage: Storage;
  readonly #settings: Settings;

  constructor(settings: Settings) {
    const storage = new Storage(settings.dataDirectory);
    this.#storage = storage;
    this.#settings = settings;
    this.blobs = new DiskBlobs(storage, settings.deletes);
    this.manifests = new DiskManifests(storage, settings.deletes);
    this.tags = new DiskTags(storage);
    this.uploads = new DiskUploads(storage, settings);
    this.catalog = new RepositoryTree(storage.directory);
    this.#size = new StoredSize(storage.blobs, settings.now);
    this.status = { facts: () => this.#facts(), check: async () => storage.directory.check() };
  }

  /** Absolute path of the directory. */
  get root(): string {
    return this.#storage.directory.root;
  }

  /**
   * Makes the directory and keeps other registries off it; again after {@link close}. @throws TartletError `BUSY`,
   * `DISK_*`.
   */
  async open(): Promise<void> {
    const { directory } = this.#storage;
    try {
      await directory.make();
      await directory.lock();
      await directory.prepare();
      await directory.claim('registry');
      await this.sweep();
    } catch (error) {
      await directory.release();
      throw error;
    }
  }

  /** Drops uploads that rested too long, and what a crash left behind. */
  async sweep(): Promise<void> {
    await this.uploads.sweep();
  }

  /** Removes what no manifest needs and is older than `graceMs` milliseconds. */
  async collectGarbage(graceMs: number): Promise<GarbageReport> {
    const report = await collectGarbage(this.#storage, { graceMs, log: this.#settings.log });
    const { runs, blobs, bytes } = this.#collected;
    this.#collected = { runs: runs + 1, blobs: blobs + report.blobs, bytes: bytes + report.bytes };
    if (report.blobs > 0) this.#size.forget();
    return report;
  }

  #facts(): StoreFacts {
    return {
      stored: this.#size.last,
      openUploads: this.uploads.count,
      collected: this.#collected,
    };
  }

  /** Drops unfinished uploads, and lets other registries in. Idempotent. */
  async close(): Promise<void> {
    await this.uploads.cancelAll();
    await this.#storage.directory.release();
  }
}
