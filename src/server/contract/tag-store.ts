import type { Digest } from '../../names/digest.ts';
import type { Repository } from '../../names/repository.ts';
import type { Tag } from '../../names/tag.ts';
import type { Page, PageRequest } from './page.ts';

/** What a tag leads to. */
export interface ResolvedTag {
  /** A manifest that `ManifestStore.open` has. */
  readonly digest: Digest;
  /** Value of a `Warning` header, when the tag may have moved since the store last heard of it. */
  readonly warning?: string | undefined;
}

/** The tags of repositories. They are set with a manifest, see `ManifestStore.put`. */
export interface TagStore {
  /**
   * @returns undefined when there is no such tag.
   * @throws Refusal when the store cannot tell.
   */
  resolve(repository: Repository, tag: Tag): Promise<ResolvedTag | undefined>;
  /**
   * One page of the tags, sorted by bytes. A store with an index takes no longer for many tags than for few.
   * @returns undefined when there is no such repository.
   */
  list(repository: Repository, page: PageRequest): Promise<Page | undefined>;
  /**
   * Deletes a tag, and not what it leads to.
   * @returns false when there was none.
   * @throws Refusal 405 when nothing is deleted here.
   */
  delete(repository: Repository, tag: Tag): Promise<boolean>;
}
