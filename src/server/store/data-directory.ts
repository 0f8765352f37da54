import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { TartletError } from '../../errors.ts';
import { makePath } from '../../fs/directory-tree.ts';
import { fsyncUpTo, rawFsyncDirectory, writeNewFile } from '../../fs/fsync.ts';
import { FileLock } from '../../fs/lock/lock.ts';
import { statIfThere } from '../../fs/stats.ts';
import { isMissing } from '../../fs/disk-error.ts';
import { listNames } from '../../fs/entry-names.ts';
import type { Digest } from '../../names/digest.ts';
import type { Repository } from '../../names/repository.ts';

/** There in the directory of a cache. */
const CACHE_MARK = '.site-cache';

/**
 * Where everything lies below one directory, and the only way to write there: to `staging/`, fsynced, then renamed into
 * place. So a reader, or a new process after a crash, sees a file complete or not at all (reliability I1).
 *
 * ```
 * .lock                                          held by the process that serves it, whose id stands in it
 * staging/<32 hex>                               uploads and files about to be published
 * blobs/<algorithm>/<2 hex>/<hex>                content of blobs and manifests, once for all repositories
 * repositories/<name>/_blobs/<algorithm>/<hex>   empty: this repository has the blob
 *                     _manifests/<algorithm>/<hex>  JSON: media type and subject
 *                     _tags/<tag>                digest
 *                     _referrers/<algorithm>/<subject hex>/<algorithm>-<hex>   descriptor, JSON
 * ```
 */
export class DataDirectory {
  readonly root: string;
  #lock: FileLock | undefined;
  /** Between the clock of the file system and the time since this process began, in milliseconds. */
  #ahead = 0;
  /**
   * Directories that no power cut takes, with all above them: known, so that one publishes a blob with few fsyncs. None
   * is ever removed.
   */
  readonly #lasting = new Set<string>();

  /** @param root absolute or relative to the working directory; made on {@link prepare}. */
  constructor(root: string) {
    this.root = path.resolve(root);
  }

  get staging(): string {
    return path.join(this.root, 'staging');
  }

  get blobs(): string {
    return path.join(this.root, 'blobs');
  }

  get repositories(): string {
    return path.join(this.root, 'repositories');
  }

  blob(digest: Digest): string {
    return path.join(this.blobs, digest.algorithm, digest.hex.slice(0, 2), digest.hex);
  }

  repository(name: Repository): string {
    return path.join(this.repositories, ...name.text.split('/'));
  }

  /** A fresh name in the staging directory: no client can guess it and it says nothing about what is in it. */
  stagingFile(): string {
    return path.join(this.staging, randomBytes(16).toString('hex'));
  }

  /** Makes the directory, for the owner only (reliability S53). */
  async make(): Promise<void> {
    const made = await makePath(this.root, 0o700);
    // One that was there may be new as well: a server that was killed made it.
    await fsyncUpTo(this.root, made[0] ?? this.root);
  }

  /**
   * Keeps other registries off, until {@link release} or the end of the process: what one holds in memory (uploads, who
   * publishes what) the other cannot know. The lock decides; the process id in its file is only told.
   * @throws TartletError `BUSY` with the id of the process that serves the directory, `DISK_*`.
   */
  async lock(): Promise<void> {
    const file = path.join(this.root, '.lock');
    this.#lock = await FileLock.acquire(file, { mode: 'exclusive', wait: false });
    if (this.#lock === undefined) throw await servedBy(this.root, file);
    await writeFile(file, `${process.pid}\n`);
  }

  async release(): Promise<void> {
    await this.#lock?.release();
    this.#lock = undefined;
  }

  /** Makes what is in the directory. */
  async prepare(): Promise<void> {
    for (const directory of [this.staging, this.blobs, this.repositories]) await mkdir(directory, { recursive: true });
    await rawFsyncDirectory(this.root);
  }

  /** Looks whether everything is where it was made. @throws what the file system says. */
  async check(): Promise<void> {
    for (const directory of [this.staging, this.blobs, this.repositories]) await readdir(directory);
  }

  /**
   * Keeps a registry and a cache out of the same directory: in a cache everything may go, and to a registry all of it
   * would be garbage. To be called when it is locked and prepared.
   * @throws TartletError `CONFIG_INVALID` when the directory is of the other kind.
   */
  async claim(kind: 'registry' | 'cache'): Promise<void> {
    const mark = path.join(this.root, CACHE_MARK);
    const isCache = (await statIfThere(mark)) !== undefined;
    if (kind === 'registry' ? !isCache : isCache) return;
    if (kind === 'cache' && !(await this.#hasContent())) return this.write(mark, '');
    const found = isCache ? 'a site cache' : 'the images of a registry';
    throw new TartletError('CONFIG_INVALID', `${this.root} has ${found} in it, and cannot be used for anything else`, {
      subject: this.root,
      next: { kind: 'choose-data-directory' },
    });
  }

  async #hasContent(): Promise<boolean> {
    for (const directory of [this.blobs, this.repositories]) {
      if ((await listNames(directory)).length > 0) return true;
    }
    return false;
  }

  /**
   * What the file system says the time is, in epoch milliseconds: the ages of files are told by its clock, which need
   * not be ours (a network file system has that of its server).
   */
  async now(): Promise<number> {
    const file = this.stagingFile();
    try {
      await writeFile(file, '');
      const { mtimeMs } = await stat(file);
      this.#ahead = mtimeMs - performance.now();
      return mtimeMs;
    } finally {
      await rm(file, { force: true });
    }
  }

  /** The same without asking: counted on from the last {@link now}, which {@link sweepStaging} is often enough. */
  get estimatedNow(): number {
    return performance.now() + this.#ahead;
  }

  /**
   * Removes staged files that no request has written to for `idleMs` milliseconds: what a crash left behind.
   * By age and not all of them: a file may belong to an upload that began a moment ago.
   */
  async sweepStaging(idleMs: number, inUse: ReadonlySet<string>): Promise<number> {
    const olderThan = (await this.now()) - idleMs;
    let removed = 0;
    for (const name of await listNames(this.staging)) {
      const file = path.join(this.staging, name);
      if (inUse.has(file)) continue;
      const found = await statIfThere(file);
      if (found === undefined || found.mtimeMs >= olderThan) continue;
      await rm(file, { force: true });
      removed += 1;
    }
    return removed;
  }

  /** Publishes a small file, replacing an older one atomically. */
  async write(target: string, content: string | Uint8Array): Promise<void> {
    const staged = this.stagingFile();
    try {
      await writeNewFile(staged, content, 0o600);
      await this.publish(staged, target);
    } catch (error) {
      await rm(staged, { force: true });
      throw error;
    }
  }

  /**
   * Moves a fsynced staged file to its final name, and fsyncs its directory and every one above that may have got a new
   * entry: what another request has just made may not have been fsynced yet.
   */
  async publish(staged: string, target: string): Promise<void> {
    const directory = path.dirname(target);
    await mkdir(directory, { recursive: true });
    await rename(staged, target);
    await rawFsyncDirectory(directory);
    const lasting: string[] = [];
    for (let at = directory; at !== this.root && !this.#lasting.has(at); at = path.dirname(at)) {
      await rawFsyncDirectory(path.dirname(at));
      lasting.push(at);
    }
    for (const each of lasting) this.#lasting.add(each);
  }

  /** @returns whether there was such a file. */
  async remove(file: string): Promise<boolean> {
    return (await this.removeAll([file])) === 1;
  }

  /** Removes files of one directory. @returns how many of them there were. */
  async removeAll(files: readonly string[]): Promise<number> {
    let removed = 0;
    for (const file of files) {
      try {
        await unlink(file);
        removed += 1;
      } catch (error) {
        if (!isMissing(error)) throw error;
      }
    }
    const [first] = files;
    if (first !== undefined && removed > 0) await rawFsyncDirectory(path.dirname(first));
    return removed;
  }
}

async function servedBy(directory: string, lock: string): Promise<TartletError> {
  const text = await readFile(lock, 'utf8').catch(() => '');
  const pid = /^([1-9]\d{0,9})\n$/.exec(text)?.[1];
  return new TartletError(
    'BUSY',
    `another registry serves ${directory}${pid === undefined ? '' : `: the process ${pid}`}`,
    {
      subject: directory,
      next: { kind: 'end-other-registry' },
      retryable: false,
    },
  );
}
