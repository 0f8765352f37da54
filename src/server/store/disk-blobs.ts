import type { Digest } from '../../names/digest.ts';
import type { Repository } from '../../names/repository.ts';
import type { BlobStore } from '../contract/blob-store.ts';
import type { Content } from '../contract/content.ts';
import type { DeletesAllowed } from '../settings/options.ts';
import { refuseNeeded } from './needed-by-tag.ts';
import type { Storage } from './storage.ts';

/**
 * The blobs of the data directory. What is deleted goes from its repository; the content goes with the next garbage
 * collection.
 */
export class DiskBlobs implements BlobStore {
  readonly #storage: Storage;
  readonly #deletes: DeletesAllowed;

  /** @param deletes whether a blob may be deleted that the image of a tag needs. */
  constructor(storage: Storage, deletes: DeletesAllowed) {
    this.#storage = storage;
    this.#deletes = deletes;
  }

  async open(repository: Repository, digest: Digest): Promise<Content | undefined> {
    const { directory, blobs } = this.#storage;
    if (!(await this.#storage.repository(repository).touchBlob(digest, directory.estimatedNow))) return undefined;
    return blobs.open(digest);
  }

  async delete(repository: Repository, digest: Digest): Promise<boolean> {
    const directory = this.#storage.repository(repository);
    return this.#storage.change(repository, async () => {
      if (!(await directory.hasBlob(digest))) return false;
      // Build caches put plain blobs into an index, so that this is asked of manifests and blobs alike.
      if (this.#deletes === 'unneeded') await refuseNeeded(this.#storage, directory, digest);
      return directory.unlinkBlob(digest);
    });
  }
}
