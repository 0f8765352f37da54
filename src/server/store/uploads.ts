import { randomBytes } from 'node:crypto';
import type { DigestAlgorithm } from '../../names/digest.ts';
import type { DataFolder } from './data-folder.ts';
import type { Settings } from '../settings/options.ts';
import { Refusal } from '../contract/refusal.ts';
import type { RepositoryName } from '../contract/repository-name.ts';
import { StagingBudget } from './staging-budget.ts';
import { Upload } from './upload.ts';

/** Whose upload, and where to. */
interface UploadBeginning {
  readonly repository: RepositoryName;
  /** Undefined for anybody, where nobody has to log in. */
  readonly user: string | undefined;
  /** As limits count it. */
  readonly client: string;
  readonly algorithm: DigestAlgorithm;
}

/**
 * Every upload under way, by its id: 128 random bits that are looked up here and never become a path (reliability S42).
 * They live in memory only, so a restarted server answers `BLOB_UPLOAD_UNKNOWN` and clients begin again, as the spec asks.
 */
export class Uploads {
  readonly #budget: StagingBudget;
  readonly #folder: DataFolder;
  readonly #settings: Settings;
  /** Ordered by last use, the longest idle first. */
  readonly #open = new Map<string, { readonly upload: Upload; lastUsed: number }>();

  constructor(folder: DataFolder, settings: Settings) {
    this.#folder = folder;
    this.#settings = settings;
    this.#budget = new StagingBudget(folder.staging, settings.limits);
  }

  /** @throws Refusal 429 when all are busy and there is no place for another. */
  async begin({ repository, user, client, algorithm }: UploadBeginning): Promise<Upload> {
    await this.expire();
    await this.#makePlace();
    const upload = await Upload.begin({
      id: randomBytes(16).toString('hex'),
      repository,
      user,
      client,
      file: this.#folder.stagingFile(),
      algorithm,
      budget: this.#budget,
      limit: this.#settings.limits.blobBytes,
    });
    this.#open.set(upload.id, { upload, lastUsed: this.#settings.now() });
    return upload;
  }

  /** @throws Refusal `BLOB_UPLOAD_UNKNOWN` also for an upload of another repository or user: the id alone opens nothing. */
  async find(id: string, { repository, user }: Pick<UploadBeginning, 'repository' | 'user'>): Promise<Upload> {
    await this.expire();
    const found = this.#open.get(id);
    if (found?.upload.repository.text !== repository.text || found.upload.user !== user) {
      throw new Refusal(404, 'BLOB_UPLOAD_UNKNOWN', 'there is no such upload');
    }
    this.#open.delete(id);
    this.#open.set(id, { upload: found.upload, lastUsed: this.#settings.now() });
    return found.upload;
  }

  /** After an upload ended in whatever way. */
  forget(upload: Upload): void {
    this.#open.delete(upload.id);
  }

  /** The end of a request that used an upload counts as use too, or a long body would be idle time. */
  touch(upload: Upload): void {
    const found = this.#open.get(upload.id);
    if (found !== undefined) found.lastUsed = this.#settings.now();
  }

  /** Drops uploads that rested too long, and what a crash left in the staging folder. */
  async expire(): Promise<void> {
    const before = this.#settings.now() - this.#settings.timeouts.uploadIdle;
    let count = 0;
    for (const { upload, lastUsed } of this.#open.values()) {
      if (lastUsed > before || upload.busy) continue;
      this.forget(upload);
      await upload.discard();
      count += 1;
    }
    if (count > 0) this.#settings.log({ kind: 'uploads-expired', count });
  }

  async sweep(): Promise<void> {
    await this.expire();
    const inUse = new Set(Array.from(this.#open.values(), ({ upload }) => upload.file));
    await this.#folder.sweepStaging(this.#settings.timeouts.uploadIdle, inUse);
  }

  async cancelAll(): Promise<void> {
    const all = [...this.#open.values()];
    this.#open.clear();
    for (const { upload } of all) await upload.cancel();
  }

  /** The longest idle one of whoever has the most gives way: who begins many loses their own, and not those of others (reliability S74). */
  async #makePlace(): Promise<void> {
    if (this.#open.size < this.#settings.limits.openUploads) return;
    const uploads = Array.from(this.#open.values(), ({ upload }) => upload);
    const counts = new Map<string, number>();
    for (const upload of uploads) counts.set(ownerOf(upload), (counts.get(ownerOf(upload)) ?? 0) + 1);
    const [first, ...others] = uploads.filter(({ busy }) => !busy);
    if (first !== undefined) {
      const count = (upload: Upload): number => counts.get(ownerOf(upload)) ?? 0;
      const least = others.reduce((one, other) => (count(other) > count(one) ? other : one), first);
      this.forget(least);
      await least.discard();
      return;
    }
    throw new Refusal(429, 'TOOMANYREQUESTS', 'too many uploads are under way', { headers: { 'Retry-After': '30' } });
  }
}

/** Where nobody logs in, clients are told apart by their addresses. */
function ownerOf({ user, client }: Upload): string {
  return user ?? client;
}
