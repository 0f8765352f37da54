import type { Repository } from '../../names/repository.ts';
import type { Tag } from '../../names/tag.ts';
import { cutPage, type Page, type PageRequest } from '../contract/page.ts';
import type { ResolvedTag, TagStore } from '../contract/tag-store.ts';
import type { Storage } from './storage.ts';

/** The tags of the data directory. */
export class DiskTags implements TagStore {
  readonly #storage: Storage;

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  async resolve(repository: Repository, tag: Tag): Promise<ResolvedTag | undefined> {
    const digest = await this.#storage.repository(repository).resolve(tag);
    return digest === undefined ? undefined : { digest };
  }

  async list(repository: Repository, page: PageRequest): Promise<Page | undefined> {
    const directory = this.#storage.repository(repository);
    if (!(await directory.exists())) return undefined;
    const { indexes } = this.#storage;
    const tags =
      (await indexes.currentTags(directory)) ??
      (await this.#storage.between(repository, async () => indexes.tags(directory)));
    return cutPage(tags.names, page);
  }

  async delete(repository: Repository, tag: Tag): Promise<boolean> {
    return this.#storage.change(
      repository,
      async () => (await this.#storage.repository(repository).removeTags([tag])) === 1,
    );
  }
}
