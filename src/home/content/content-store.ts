import { lstat } from 'node:fs/promises';
import { TartletError } from '../../errors.ts';
import { Digest } from '../../names/digest.ts';
import type { StoredDiskFile } from '../../oci/disk-file.ts';
import { ChunkJournal } from '../chunk-journal.ts';
import { contentReferences, HEX } from './content-reference.ts';
import { onDisk } from '../../fs/disk-error.ts';
import { moveEntry } from '../../fs/entry.ts';
import { makeDirectoryTree } from '../../fs/directory-tree.ts';
import { fsyncDirectory, fsyncUpTo } from '../../fs/fsync.ts';
import type { Home } from '../home.ts';
import { CONTENT_LOCK, type ContentAside, contentAsideName } from '../home-entry.ts';
import { setTimes } from '../last-use.ts';
import { FileLock, type LockOptions } from '../../fs/lock/lock.ts';
import { fsyncOrRemove } from '../../fs/fsync.ts';
import { openPlainFile } from '../../fs/plain-file.ts';
import { removeEntry } from '../../fs/remove.ts';
import { lstatIfThere } from '../../fs/stats.ts';
import { listNames } from '../../fs/entry-names.ts';

/** A file of the store, as a manifest names it. */
export type StoredFile = Pick<StoredDiskFile, 'fileDigest' | 'size'>;

/** What a collection did. */
export interface Collection {
  readonly deleted: readonly Digest[];
  /** Why nothing was deleted, although something might have been. */
  readonly refrained: string | undefined;
}

/**
 * The immutable disk files that stacked images share, each named after the SHA-256 of its bytes (tart-formats §4.7). A
 * caller that wants a file kept first puts a manifest that names it where references are looked for, inside
 * {@link change}; only then the file is brought. A file of the right name and length is believed without hashing it
 * again, as in Tart: it was verified when it came in.
 */
export class ContentStore {
  readonly #home: Home;
  readonly #platform: NodeJS.Platform;

  constructor(home: Home, platform: NodeJS.Platform) {
    this.#home = home;
    this.#platform = platform;
  }

  /** Where the files lie, and hidden beside them what is on its way. */
  get filesDirectory(): string {
    return `${this.#home.contentDirectory}/sha256`;
  }

  pathOf(digest: Digest): string {
    if (digest.algorithm !== 'sha256') {
      throw new TartletError('INTERNAL', `the content store has no place for ${digest.toString()}`);
    }
    return `${this.filesDirectory}/${digest.hex}`;
  }

  /**
   * Where a file is rebuilt: the same place each time, so that an interrupted pull continues. Only within
   * {@link whileBuilding}.
   */
  partialOf(digest: Digest): string {
    return this.#aside(digest, 'partial');
  }

  /** Which chunks of {@link partialOf} were verified. A partial file of Tart's has none. */
  journalOf(digest: Digest): ChunkJournal {
    return new ChunkJournal(this.#aside(digest, 'verified'));
  }

  #aside(digest: Digest, kind: ContentAside): string {
    return `${this.filesDirectory}/${contentAsideName(digest.hex, kind)}`;
  }

  /** Whether a file is there with exactly the length that the manifest says. */
  async holds(file: StoredFile): Promise<boolean> {
    const stats = await lstatIfThere(this.pathOf(file.fileDigest));
    return stats?.isFile() === true && stats.size === file.size;
  }

  /** Those of the files that {@link holds} denies. */
  async missing<F extends StoredFile>(files: readonly F[]): Promise<F[]> {
    const missing: F[] = [];
    for (const file of files) if (!(await this.holds(file))) missing.push(file);
    return missing;
  }

  /**
   * For every change to one file on its way: locks it, works, and lets it go, however the work ends. Other files are
   * built meanwhile.
   *
   * @returns what the work gives; `busy`, without any of it, when another command has the file and `how` does not wait.
   */
  async whileBuilding<T>(digest: Digest, how: LockOptions & { wait: true }, work: () => Promise<T>): Promise<T>;
  async whileBuilding<T>(digest: Digest, how: LockOptions, work: () => Promise<T>): Promise<T | 'busy'>;
  async whileBuilding<T>(digest: Digest, how: LockOptions, work: () => Promise<T>): Promise<T | 'busy'> {
    const lock = await FileLock.acquire(this.#aside(digest, 'lock'), how);
    if (lock === undefined) return 'busy';
    try {
      return await work();
    } finally {
      await lock.release();
    }
  }

  /**
   * Puts a finished file into the store, fsynced. A valid one that came first stays, and the new one is dropped.
   *
   * @param staged in the directory of the store; gone when this returns true.
   * @param isIntact hashes all of it: nothing else decides whether a file may carry its name.
   * @param there what to do about one that is there and has the right length: `believe` it, or `replace` it because it
   * is known to be damaged. A process that has it open keeps the old file.
   * @returns false when it is not what its name would say; it is left where it is.
   */
  async install(
    staged: string,
    file: StoredFile,
    isIntact: (path: string) => Promise<boolean>,
    there: 'believe' | 'replace' = 'believe',
  ): Promise<boolean> {
    const { size } = await onDisk('look at', staged, async () => lstat(staged));
    if (size !== file.size || !(await isIntact(staged))) return false;
    await fsyncOrRemove(staged);
    const lock = await FileLock.acquireDirectory(this.#home.contentDirectory, this.#platform, {
      mode: 'exclusive',
      wait: true,
    });
    try {
      const path = this.pathOf(file.fileDigest);
      if (there === 'believe' && (await this.holds(file)))
        await onDisk('remove', staged, async () => removeEntry(staged));
      else await onDisk('move into place', path, async () => moveEntry(staged, path));
      await fsyncUpTo(this.filesDirectory, this.#home.root);
    } finally {
      await lock?.release();
    }
    return true;
  }

  /**
   * For every change to what refers to the store: while `work` runs, no process collects. Nothing that waits for
   * another lock may happen in it.
   */
  async change<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    await makeDirectoryTree(this.filesDirectory);
    const lock = await FileLock.acquire(`${this.#home.contentDirectory}/${CONTENT_LOCK}`, {
      mode: 'exclusive',
      wait: true,
      signal,
    });
    try {
      return await work();
    } finally {
      await lock?.release();
    }
  }

  /**
   * For every change to tags and image directories. Where Tart can run, it collects both under the lock of
   * {@link change} (tart-cli §4.3), so that this function takes it; elsewhere it is not taken.
   */
  async besideTart<T>(work: () => Promise<T>): Promise<T> {
    return this.#platform === 'darwin' ? this.change(undefined, work) : work();
  }

  /**
   * Deletes the files that nothing refers to; call within {@link change}. Hidden files are never touched: partial files
   * and locks belong to a process that may be at work.
   *
   * @throws TartletError `DISK_*`
   */
  async collect(): Promise<Collection> {
    const names = (await this.#names()).filter((name) => HEX.test(name));
    if (names.length === 0) return { deleted: [], refrained: undefined };
    const references = contentReferences(this.#home);
    const unneeded = names.filter((each) => !references.digests.has(each));
    if (references.kind === 'unknown' && unneeded.length > 0) return { deleted: [], refrained: references.because };
    const deleted: Digest[] = [];
    for (const name of unneeded) {
      const path = `${this.filesDirectory}/${name}`;
      if (!(await onDisk('look at', path, async () => lstat(path))).isFile()) continue;
      await onDisk('delete', path, async () => removeEntry(path));
      deleted.push(Digest.sha256(name));
    }
    if (deleted.length > 0) await fsyncDirectory(this.filesDirectory);
    return { deleted, refrained: undefined };
  }

  /** {@link collect} for callers that hold no lock; a home without a store stays without. */
  async collectAlone(signal?: AbortSignal): Promise<Collection> {
    if ((await this.#names()).length === 0) return { deleted: [], refrained: undefined };
    return this.change(signal, async () => this.collect());
  }

  async #names(): Promise<string[]> {
    return listNames(this.filesDirectory);
  }

  /** Records a use: the access time of the file itself (tart-formats §1.7). */
  async touch(digest: Digest, at: Date): Promise<void> {
    try {
      await setTimes(await openPlainFile(this.pathOf(digest)), at);
    } catch {
      // A shared or read-only cache: the use goes unrecorded, which is harmless (reliability D12).
    }
  }
}
