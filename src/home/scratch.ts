import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { isTartletError } from '../errors.ts';
import { onDisk } from '../fs/disk-error.ts';
import { makeDirectory } from '../fs/entry.ts';
import { readableNamesIn } from '../fs/entry-names.ts';
import { makeTrustedDirectory } from '../fs/directory-tree.ts';
import { exists } from '../fs/stats.ts';
import type { Home } from './home.ts';
import { FileLock } from '../fs/lock/lock.ts';
import { canRenameBetween } from '../fs/mount.ts';
import { removeEntry } from '../fs/remove.ts';

/**
 * How the scratch directories begin that are ours to clean. By their names and not by a file in them, which a kill in
 * mid-removal may have taken.
 */
const OURS = 'tartlet-';

/** Where a spool may lie; a `Session` is one. */
interface SpoolPlace {
  readonly home: Home;
  readonly platform: NodeJS.Platform;
  /** Of the system: for a home that cannot be written. */
  readonly temporaryDirectory: string;
}

/**
 * A directory in `tmp/` or beside the VMs for work on one, locked for as long as its owner lives so that no process
 * collects it. The lock lies outside: one inside would have to go before the directory is published, and a collector
 * could take the directory in that moment (reliability P20).
 */
export class Scratch {
  readonly directory: string;
  readonly #lockFile: string | undefined;
  readonly #locks: readonly FileLock[];

  private constructor(directory: string, lockFile: string | undefined, locks: readonly FileLock[]) {
    this.directory = directory;
    this.#lockFile = lockFile;
    this.#locks = locks;
  }

  /**
   * Makes a new one in `tmp/`, where Tart sees it, and takes away what killed commands left. @throws TartletError
   * `DISK_*`
   */
  static async create(home: Home, platform: NodeJS.Platform): Promise<Scratch> {
    await makeTrustedDirectory(home.scratchDirectory);
    return Scratch.#createIn(home.scratchDirectory, home, platform);
  }

  /**
   * The same for what will be renamed into `vms/`: beside the VMs where they lie elsewhere. @throws TartletError
   * `DISK_*`
   */
  static async createForVm(home: Home, platform: NodeJS.Platform): Promise<Scratch> {
    await home.prepareForVms();
    const parent = await scratchDirectoryOf(home);
    await makeTrustedDirectory(parent);
    return Scratch.#createIn(parent, home, platform);
  }

  /**
   * The same for what is only passed on. Where the home cannot be written (golden images on a read-only mount,
   * reliability D10), it lies in the system's directory for temporary files, and after a kill only the system collects
   * it.
   */
  static async createSpool({ home, platform, temporaryDirectory }: SpoolPlace): Promise<Scratch> {
    try {
      return await Scratch.create(home, platform);
    } catch (error) {
      if (!isTartletError(error, 'DISK_READONLY', 'DISK_DENIED')) throw error;
      const directory = `${temporaryDirectory}/${OURS}`;
      return new Scratch(await onDisk('create', directory, async () => mkdtemp(directory)), undefined, []);
    }
  }

  static async #createIn(parent: string, home: Home, platform: NodeJS.Platform): Promise<Scratch> {
    for (const directory of home.scratchDirectories) await reap(home, directory);
    for (;;) {
      const name = `${OURS}${randomUUID()}`;
      const lockFile = home.lockFile(name);
      const lock = await FileLock.acquire(lockFile, { mode: 'exclusive', wait: false });
      if (lock === undefined) continue; // Another process has the same name, against all odds.
      const locks = [lock];
      try {
        const directory = `${parent}/${name}`;
        await onDisk('create', directory, async () => makeDirectory(directory));
        const againstTart = platform === 'darwin' ? await lockAgainstTart(directory) : [];
        if (againstTart !== 'gone') return new Scratch(directory, lockFile, [...locks, ...againstTart]);
      } catch (error) {
        await release(lockFile, locks);
        throw error;
      }
      await release(lockFile, locks);
    }
  }

  /** Removes what is left of it; nothing when it was published. */
  async dispose(): Promise<void> {
    await removeEntry(this.directory);
    await release(this.#lockFile, this.#locks);
  }
}

/**
 * Where work on VMs is done, so that it can be renamed into or out of `vms/`. Makes nothing: a deletion on a full disk
 * can do without.
 *
 * @throws TartletError `DISK_*`
 */
export async function scratchDirectoryOf(home: Home): Promise<string> {
  const both = [home.vmsDirectory, home.scratchDirectory] as const;
  const isBeside = existsSync(both[0]) && existsSync(both[1]) && !(await canRenameBetween(...both));
  return isBeside ? home.scratchBesideVms : home.scratchDirectory;
}

/** Whether an entry of a scratch directory is ours, by its name. */
export function isOurScratch(name: string): boolean {
  return name.startsWith(OURS);
}

/** Tart empties `tmp/` and spares only what is locked itself (tart-formats §1.2). It may have been quicker than we. */
async function lockAgainstTart(directory: string): Promise<readonly FileLock[] | 'gone'> {
  try {
    const lock = await FileLock.acquireDirectory(directory, 'darwin', { mode: 'exclusive', wait: false });
    return lock === undefined ? 'gone' : [lock];
  } catch (error) {
    if (await exists(directory)) throw error;
    return 'gone';
  }
}

/** The file goes while it is still locked: a process that waits for it sees that it is another one. */
async function release(lockFile: string | undefined, locks: readonly FileLock[]): Promise<void> {
  if (lockFile !== undefined) await removeEntry(lockFile);
  for (const lock of locks) await lock.release();
}

/** What may not be locked is of another user of this home, whose commands will remove it. */
async function lockToReap(lockFile: string): Promise<FileLock | undefined> {
  try {
    return await FileLock.acquire(lockFile, { mode: 'exclusive', wait: false });
  } catch (error) {
    if (isTartletError(error, 'DISK_DENIED')) return undefined;
    throw error;
  }
}

/** Deletes our own scratch directories whose owners are gone. Others' entries in `tmp/` are Tart's to judge. */
async function reap(home: Home, parent: string): Promise<void> {
  for (const name of readableNamesIn(parent)) {
    if (!isOurScratch(name)) continue;
    const lockFile = home.lockFile(name);
    const lock = await lockToReap(lockFile);
    if (lock === undefined) continue;
    try {
      await removeEntry(`${parent}/${name}`);
    } catch {
      continue; // What cannot be removed is not lost, and the command at hand does not need it gone.
    } finally {
      await release(lockFile, [lock]);
    }
  }
}
