import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { systemCode } from '../errors.ts';
import { onDisk } from './disk-error.ts';
import { exists, makeFolder } from './folder.ts';
import type { Home } from './home.ts';
import { FileLock, LOCK_FILE } from './lock.ts';

/** How the scratch folders begin that are ours to clean. By their names and not by a file in them, which a kill in mid-removal may have taken. */
const OURS = 'tartlet-';

/** A folder in `tmp/` for work on a VM, locked for as long as its owner lives so that nobody collects it. */
export class Scratch {
  readonly folder: string;
  readonly #lock: FileLock;

  private constructor(folder: string, lock: FileLock) {
    this.folder = folder;
    this.#lock = lock;
  }

  /** Makes a new one, and takes away what killed commands left. */
  static async create(home: Home, platform: NodeJS.Platform): Promise<Scratch> {
    await makeFolder(home.scratchFolder);
    await reap(home.scratchFolder, platform);
    for (;;) {
      const folder = `${home.scratchFolder}/${OURS}${randomUUID()}`;
      await onDisk('create', folder, async () => mkdir(folder));
      const lock = await lockIfThere(folder, platform);
      if (lock !== undefined) return new Scratch(folder, lock);
      // A collector was quicker than our lock (reliability P20): take another name.
    }
  }

  /** Removes what only a scratch has, so that the folder can be published. The lock goes with {@link dispose}. */
  async strip(): Promise<void> {
    await rm(`${this.folder}/${LOCK_FILE}`, { force: true });
  }

  /** Removes what is left of it. */
  async dispose(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
    await this.#lock.release();
  }
}

async function lockIfThere(folder: string, platform: NodeJS.Platform): Promise<FileLock | undefined> {
  try {
    const lock = await FileLock.acquireFolder(folder, platform, { mode: 'exclusive', wait: false });
    if (lock !== undefined && !(await exists(folder))) {
      await lock.release();
      return undefined;
    }
    return lock;
  } catch (error) {
    if (await exists(folder)) throw error;
    return undefined;
  }
}

/** Deletes our own scratch folders whose owners are gone. Others' entries in `tmp/` are Tart's to judge. */
async function reap(scratchFolder: string, platform: NodeJS.Platform): Promise<void> {
  for (const entry of await readdir(scratchFolder)) {
    if (!entry.startsWith(OURS)) continue;
    const folder = `${scratchFolder}/${entry}`;
    try {
      const lock = await FileLock.acquireFolder(folder, platform, { mode: 'exclusive', wait: false });
      if (lock === undefined) continue;
      await rm(folder, { recursive: true, force: true });
      await lock.release();
    } catch (error) {
      if (systemCode(error) === undefined && (await exists(folder))) continue; // Somebody else's problem to report; ours is not lost.
    }
  }
}
