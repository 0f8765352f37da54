import path from 'node:path';
import { ContentStore } from './content-store.ts';
import { listEntries } from '../../fs/entry-names.ts';
import { DataDirectory } from './data-directory.ts';
import { RwLock, KeyedMutex } from './rw-lock.ts';
import { RepositoryDirectory } from './repository-directory.ts';
import { RepositoryIndexes } from './repository-indexes.ts';
import { Repository } from '../../names/repository.ts';

/**
 * Everything on disk, and the rules for changing it while others do. A new process on the same directory serves all of
 * it.
 */
export class Storage {
  readonly directory: DataDirectory;
  readonly blobs: ContentStore;
  /** A request that makes something reachable holds it shared; garbage collection holds it exclusively. */
  readonly lock = new RwLock();
  readonly indexes: RepositoryIndexes;
  /** By the name of the repository: changes to its manifests, tags and links. */
  readonly #mutex = new KeyedMutex();

  constructor(dataDirectory: string) {
    this.directory = new DataDirectory(dataDirectory);
    this.blobs = new ContentStore(this.directory);
    this.indexes = new RepositoryIndexes(this.blobs);
  }

  repository(name: Repository): RepositoryDirectory {
    return new RepositoryDirectory(this.directory, name, this.indexes);
  }

  /**
   * Changes what a repository consists of: after other changes to it, and never while garbage is looked for, which
   * would take what is half deleted for damage.
   */
  async change<T>(repository: Repository, work: () => Promise<T>): Promise<T> {
    return this.#mutex.take(repository.text, async () => this.lock.shared(work));
  }

  /** Looks at a repository while no change to it is at work. */
  async between<T>(repository: Repository, work: () => Promise<T>): Promise<T> {
    return this.#mutex.take(repository.text, work);
  }

  /** Every repository with content, walking the directory tree depth first. */
  async *repositories(): AsyncGenerator<RepositoryDirectory> {
    yield* this.#below('');
  }

  async *#below(prefix: string): AsyncGenerator<RepositoryDirectory> {
    const directory = path.join(this.directory.repositories, prefix);
    const entries = await listEntries(directory);
    const directories = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
    const name = prefix === '' ? undefined : Repository.tryParseBySpec(prefix);
    if (name !== undefined && directories.some((part) => part === '_manifests' || part === '_blobs')) {
      yield this.repository(name);
    }
    for (const part of directories) {
      // `_…` belongs to the repository itself; no part of a name can begin like that.
      if (!part.startsWith('_')) yield* this.#below(prefix === '' ? part : `${prefix}/${part}`);
    }
  }
}
