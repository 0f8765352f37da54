import type { BlobStore } from './blob-store.ts';
import type { ManifestStore } from './manifest-store.ts';
import type { Page, PageRequest } from './page.ts';
import type { TagStore } from './tag-store.ts';
import type { UploadStore } from './upload-store.ts';

/** Which repositories there are. */
export interface Catalog {
  /** One page of the repositories with content, sorted by bytes. */
  list(page: PageRequest): Promise<Page>;
}

/**
 * Everything that the protocol serves. Refusals that a store throws go to the client as they are; anything else is a
 * fault of the server, told to its log alone.
 */
export interface Stores {
  readonly blobs: BlobStore;
  readonly manifests: ManifestStore;
  readonly tags: TagStore;
  readonly uploads: UploadStore;
  readonly catalog: Catalog;
}
