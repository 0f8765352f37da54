import path from 'node:path';
import { listEntries } from '../../fs/entry-names.ts';
import { exactStatIfThere } from '../../fs/stats.ts';
import { Repository } from '../../names/repository.ts';
import { firstBehind, type Page, type PageRequest } from '../contract/page.ts';
import type { Catalog } from '../contract/stores.ts';
import type { DataDirectory } from './data-directory.ts';

/** A directory of fewer names is read again each time, which costs no more than asking whether it changed. */
const WORTH_KEEPING = 256;
/** Two changes in quick succession may get the same time: what changed so lately is not kept. In milliseconds. */
const SETTLED_AFTER = 2_000;

/** One directory of the tree. */
interface Level {
  readonly isRepository: boolean;
  /**
   * Each name for itself, and once more with a `/` for what is below it, sorted: so `a`, `a-b`, `a/b`, `a0` come in the
   * order of their bytes, which is not the order in which a tree is walked.
   */
  readonly keys: readonly string[];
}

/**
 * Which repositories there are, by walking the directory tree in the order of the names from where a page begins to
 * where it ends, and nowhere else.
 */
export class RepositoryTree implements Catalog {
  readonly #directory: DataDirectory;
  /** Large directories, with the time that they had when they were read. */
  readonly #kept = new Map<string, { readonly level: Level; readonly changed: bigint }>();

  constructor(directory: DataDirectory) {
    this.#directory = directory;
  }

  async list({ size, after = '' }: PageRequest): Promise<Page> {
    const entries: string[] = [];
    for await (const name of this.#behind(after, '')) {
      if (entries.length === size) return { entries, more: true };
      entries.push(name);
    }
    return { entries, more: false };
  }

  /** Repositories below `prefix` (which ends with `/`, but for the root) whose names are sorted behind `after`. */
  async *#behind(after: string, prefix: string): AsyncGenerator<string> {
    const { keys } = await this.#level(prefix);
    for (let at = firstToLookAt(keys, after, prefix); at < keys.length; at += 1) {
      const name = `${prefix}${keys[at] ?? ''}`;
      if (name.endsWith('/')) yield* this.#behind(after, name);
      else if (Repository.tryParseBySpec(name) !== undefined && (await this.#level(name)).isRepository) yield name;
    }
  }

  async #level(name: string): Promise<Level> {
    const directory = path.join(this.#directory.repositories, name);
    const kept = this.#kept.get(directory);
    const changed = (await exactStatIfThere(directory))?.mtimeNs;
    if (kept !== undefined && kept.changed === changed) return kept.level;
    this.#kept.delete(directory);
    const entries = (await listEntries(directory)).filter((entry) => entry.isDirectory()).map((entry) => entry.name);
    // `_…` belongs to the repository itself; no part of a name can begin like that.
    const parts = entries.filter((part) => !part.startsWith('_'));
    const isRepository = entries.some((part) => part === '_manifests' || part === '_blobs');
    const level = { isRepository, keys: parts.flatMap((part) => [part, `${part}/`]).sort() };
    if (parts.length >= WORTH_KEEPING && changed !== undefined && this.#isSettled(changed)) {
      this.#kept.set(directory, { level, changed });
    }
    return level;
  }

  #isSettled(changed: bigint): boolean {
    return this.#directory.estimatedNow - Number(changed / 1_000_000n) > SETTLED_AFTER;
  }
}

/** The first key behind `after`, or the one below which `after` is. */
function firstToLookAt(keys: readonly string[], after: string, prefix: string): number {
  if (!after.startsWith(prefix)) return 0;
  const below = after.slice(prefix.length);
  const first = firstBehind(keys, below);
  const before = keys[first - 1];
  return before?.endsWith('/') === true && below.startsWith(before) ? first - 1 : first;
}
