import type { BlobStore } from './blob-store.ts';
import type { ManifestStore } from './manifest-store.ts';
import type { Catalog } from './stores.ts';
import type { TagStore } from './tag-store.ts';

/**
 * What can be looked at without asking another server: for the web page, which reads many images to show one. Who may
 * read a repository here was decided before, as for the other stores; what a cache got by the credentials of one client
 * only is not among it.
 */
export interface LocalContent {
  readonly catalog: Catalog;
  readonly tags: Pick<TagStore, 'list' | 'resolve'>;
  readonly manifests: Pick<ManifestStore, 'open'>;
  readonly blobs: Pick<BlobStore, 'open'>;
}
