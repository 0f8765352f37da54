import { randomBytes } from 'node:crypto';
import type { Digest } from '../../names/digest.ts';
import type { Settings } from '../settings/options.ts';
import { Refusal } from '../contract/refusal.ts';
import type { UploadBeginning, UploadOwner, UploadStore } from '../contract/upload-store.ts';
import type { Repository } from '../../names/repository.ts';
import { StagingBudget } from './staging-budget.ts';
import type { Storage } from './storage.ts';
import { DiskUpload } from './upload.ts';

/**
 * Every upload under way, by its id: 128 random bits that are looked up here and never become a path (reliability S42).
 * They live in memory only, so a restarted server answers `BLOB_UPLOAD_UNKNOWN` and clients begin again, as the spec
 * asks.
 */
export class DiskUploads implements UploadStore {
  readonly #budget: StagingBudget;
  readonly #storage: Storage;
  readonly #settings: Settings;
  /** Ordered by last use, the longest idle first. */
  readonly #open = new Map<string, { readonly upload: DiskUpload; lastUsed: number }>();

  constructor(storage: Storage, settings: Settings) {
    this.#storage = storage;
    this.#settings = settings;
    this.#budget = new StagingBudget(storage.directory.staging, settings.limits);
  }

  /** Uploads that were begun and are not finished. */
  get count(): number {
    return this.#open.size;
  }

  async mount(digest: Digest, to: Repository, from: readonly Repository[] | 'any'): Promise<boolean> {
    return this.#storage.lock.shared(async () => {
      // Without content there is no need to look at repositories, of which there may be many.
      if ((await this.#storage.blobs.size(digest)) === undefined) return false;
      if (!(await this.#isIn(digest, from))) return false;
      await this.#storage.repository(to).linkBlob(digest);
      return true;
    });
  }

  async #isIn(digest: Digest, repositories: readonly Repository[] | 'any'): Promise<boolean> {
    if (repositories === 'any') {
      for await (const repository of this.#storage.repositories()) {
        if (await repository.hasBlob(digest)) return true;
      }
      return false;
    }
    for (const repository of repositories) {
      if (await this.#storage.repository(repository).hasBlob(digest)) return true;
    }
    return false;
  }

  async begin(beginning: UploadBeginning): Promise<DiskUpload> {
    await this.expire();
    await this.#makePlace();
    const upload = await DiskUpload.begin({
      ...beginning,
      id: randomBytes(16).toString('hex'),
      file: this.#storage.directory.stagingFile(),
      publish: async ({ file, repository }, digest) => this.#publish(file, repository, digest),
      rested: (rested) => this.#rest(rested),
      budget: this.#budget,
      limit: this.#settings.limits.blobBytes,
    });
    this.#open.set(upload.id, { upload, lastUsed: this.#settings.now() });
    return upload;
  }

  async find(id: string, { repository, user }: UploadOwner): Promise<DiskUpload> {
    await this.expire();
    const found = this.#open.get(id);
    if (found?.upload.repository.text !== repository.text || found.upload.user !== user) {
      throw new Refusal(404, 'BLOB_UPLOAD_UNKNOWN', 'there is no such upload');
    }
    this.#open.delete(id);
    this.#open.set(id, { upload: found.upload, lastUsed: this.#settings.now() });
    return found.upload;
  }

  /** The end of a request that used an upload counts as use too, or a long body would be idle time. */
  #rest(upload: DiskUpload): void {
    const found = this.#open.get(upload.id);
    if (!upload.open) this.#open.delete(upload.id);
    else if (found !== undefined) found.lastUsed = this.#settings.now();
  }

  async #publish(file: string, repository: Repository, digest: Digest): Promise<void> {
    await this.#storage.lock.shared(async () => {
      await this.#storage.blobs.adopt(file, digest);
      await this.#storage.repository(repository).linkBlob(digest);
    });
  }

  /** Drops uploads that rested too long, and what a crash left in the staging directory. */
  async expire(): Promise<void> {
    const before = this.#settings.now() - this.#settings.timeouts.uploadIdle;
    let count = 0;
    for (const { upload, lastUsed } of this.#open.values()) {
      if (lastUsed > before || upload.busy) continue;
      this.#open.delete(upload.id);
      await upload.discard();
      count += 1;
    }
    if (count > 0) this.#settings.log({ kind: 'uploads-expired', count });
  }

  async sweep(): Promise<void> {
    await this.expire();
    const inUse = new Set(Array.from(this.#open.values(), ({ upload }) => upload.file));
    await this.#storage.directory.sweepStaging(this.#settings.timeouts.uploadIdle, inUse);
  }

  async cancelAll(): Promise<void> {
    const all = [...this.#open.values()];
    this.#open.clear();
    for (const { upload } of all) await upload.cancel();
  }

  /**
   * The longest idle one of the client with the most gives way: a client that begins many loses its own, and not those
   * of others (reliability S74).
   */
  async #makePlace(): Promise<void> {
    if (this.#open.size < this.#settings.limits.openUploads) return;
    const uploads = Array.from(this.#open.values(), ({ upload }) => upload);
    const counts = new Map<string, number>();
    for (const upload of uploads) counts.set(ownerOf(upload), (counts.get(ownerOf(upload)) ?? 0) + 1);
    const [first, ...others] = uploads.filter(({ busy }) => !busy);
    if (first !== undefined) {
      const count = (upload: DiskUpload): number => counts.get(ownerOf(upload)) ?? 0;
      const least = others.reduce((one, other) => (count(other) > count(one) ? other : one), first);
      this.#open.delete(least.id);
      await least.discard();
      return;
    }
    throw new Refusal(429, 'TOOMANYREQUESTS', 'too many uploads are under way', { headers: { 'Retry-After': '30' } });
  }
}

/** Where there is no login, clients are told apart by their addresses. */
function ownerOf({ user, client }: DiskUpload): string {
  return user ?? client;
}
