import path from 'node:path';
import { ContentStore } from './content-store.ts';
import { listEntries } from '../../fs/entry-names.ts';
import { DataFolder } from './data-folder.ts';
import { Gate, Turns } from './gate.ts';
import { RepositoryFolder } from './repository-folder.ts';
import { Repository } from '../../names/repository.ts';

/** Everything on disk, and the rules for changing it while others do. A new process on the same folder serves all of it. */
export class Storage {
  readonly folder: DataFolder;
  readonly blobs: ContentStore;
  /** Whoever makes something reachable passes it shared; garbage collection passes alone. */
  readonly gate = new Gate();
  /** By the name of the repository: changes to its manifests, tags and links. */
  readonly #turns = new Turns();

  constructor(dataFolder: string) {
    this.folder = new DataFolder(dataFolder);
    this.blobs = new ContentStore(this.folder);
  }

  repository(name: Repository): RepositoryFolder {
    return new RepositoryFolder(this.folder, name);
  }

  /**
   * Changes what a repository consists of: after other changes to it, and never while garbage is looked for, which would take what is half
   * deleted for damage.
   */
  async change<T>(repository: Repository, work: () => Promise<T>): Promise<T> {
    return this.#turns.take(repository.text, async () => this.gate.shared(work));
  }

  /** Every repository with content, walking the folder tree depth first. */
  async *repositories(): AsyncGenerator<RepositoryFolder> {
    yield* this.#below('');
  }

  async *#below(prefix: string): AsyncGenerator<RepositoryFolder> {
    const folder = path.join(this.folder.repositories, prefix);
    const entries = await listEntries(folder);
    const folders = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
    const name = prefix === '' ? undefined : Repository.tryParseBySpec(prefix);
    if (name !== undefined && folders.some((part) => part === '_manifests' || part === '_blobs')) {
      yield this.repository(name);
    }
    for (const part of folders) {
      // `_…` belongs to the repository itself; no part of a name can begin like that.
      if (!part.startsWith('_')) yield* this.#below(prefix === '' ? part : `${prefix}/${part}`);
    }
  }
}
