import { type FileHandle, stat } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isTartletError, systemCode, TartletError } from '../../errors.ts';
import { openDirectory } from '../directory.ts';
import { diskError, isMissing, onDisk } from '../disk-error.ts';
import { createFile } from '../entry.ts';
import { makeDirectoryTree } from '../directory-tree.ts';
import { hasRecordLock, tryFlock, tryRecordLock } from '../native.ts';
import { openPlainFile } from '../plain-file.ts';
import { modeIn } from '../sharing.ts';

export interface LockOptions {
  /** Many may read at once; one writes alone. */
  readonly mode: 'shared' | 'exclusive';
  /** Give up at once when another process holds it, instead of waiting. */
  readonly wait: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Called when it turns out that we have to wait, and about every second from then on. Does not throw. */
  readonly onWait?: (() => void | Promise<void>) | undefined;
}

/** For this user alone, unless a group shares the directory: a user who may open a lock can keep others waiting. */
const LOCK_MODE = 0o600;

/** What is locked on behalf of a directory where directories cannot be locked: a file in it. */
export const DIRECTORY_LOCK = '.lock';

/**
 * The longest pause between two looks at a lock, in milliseconds: a waiter takes over this soon after its holder died.
 */
const MAX_PAUSE_MS = 200;

/** How long a lock that processes only ask for is waited for, and the pause between two tries, in milliseconds. */
const MAX_ASKED_MS = 5_000;
const ASKED_PAUSE_MS = 5;

/** How long a waiter waits between two words about it, in milliseconds. */
const TELL_EVERY_MS = 1000;

/**
 * A lock on a file that the kernel drops when the process ends, however it ends. Its owner is never guessed from
 * an age or a process id (reliability §4.1).
 */
export class FileLock {
  readonly #handle: FileHandle;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /**
   * @returns undefined when another process holds it and `wait` is false.
   * @throws TartletError `DISK_UNSUPPORTED` where there are no locks, `INTERRUPTED` when the signal fired.
   */
  static async acquire(file: string, options: LockOptions): Promise<FileLock | undefined> {
    await makeDirectoryTree(path.dirname(file));
    return FileLock.#acquire(file, 'file', options);
  }

  /**
   * Locks a directory, so that Tart keeps off where it can run: on macOS the directory itself, which is what Tart asks
   * for (tart-formats §1.9); elsewhere {@link DIRECTORY_LOCK} in it, because network file systems of Linux lock only
   * what is open for writing.
   */
  static async acquireDirectory(
    directory: string,
    platform: NodeJS.Platform,
    options: LockOptions,
  ): Promise<FileLock | undefined> {
    if (platform === 'darwin') return FileLock.#acquire(directory, 'directory', options);
    return FileLock.#acquire(`${directory}/${DIRECTORY_LOCK}`, 'file', options);
  }

  /**
   * Locks a file that is there for other reasons, alone and at once: the configuration of a VM, which programs that run
   * VMs lock by `fcntl` (tart-cli §4.2). So a record lock is taken as well, where that is possible.
   *
   * @returns undefined when another process holds it.
   */
  static async acquireExisting(file: string): Promise<FileLock | undefined> {
    for (;;) {
      const handle = await onDisk('open the lock', file, async () => openPlainFile(file, 'write'));
      const lock = new FileLock(handle);
      try {
        const granted = (await alone(file, handle)) && tryRecordLock(handle.fd) !== false;
        if (granted && (await isStill(file, handle))) return lock;
        await lock.release();
        if (!granted) return undefined;
      } catch (error) {
        await lock.release();
        throw error;
      }
    }
  }

  /**
   * Whether another process changes what a file locks, now. Asked without making the file, so that it works where
   * nothing can be written, by taking the lock to read for a moment.
   */
  static async isHeld(file: string): Promise<boolean> {
    let handle: FileHandle;
    try {
      handle = await openPlainFile(file);
    } catch (cause) {
      if (isMissing(cause) || systemCode(cause) === 'ENXIO') return false;
      throw diskError(cause, 'open the lock', file);
    }
    try {
      return tryFlock(handle.fd, 'shared') === false || hasRecordLock(handle.fd) === true;
    } finally {
      await handle.close();
    }
  }

  static async #acquire(file: string, kind: 'file' | 'directory', options: LockOptions): Promise<FileLock | undefined> {
    let sinceTold = TELL_EVERY_MS;
    const mode = await onDisk('look at', file, async () => modeIn(path.dirname(file), LOCK_MODE));
    for (let pause = 5; ; pause = Math.min(pause * 2, MAX_PAUSE_MS)) {
      options.signal?.throwIfAborted();
      const handle = await onDisk('open the lock', file, async () =>
        kind === 'file' ? createFile(file, 'append', mode) : openDirectory(file),
      );
      const granted = await tryLock(file, handle, options.mode);
      if (granted === true && (await isStill(file, handle))) return new FileLock(handle);
      await handle.close();
      if (granted === 'unsupported') {
        throw noLocks(file);
      }
      if (!granted) {
        if (!options.wait) return undefined;
        if (sinceTold >= TELL_EVERY_MS) {
          await options.onWait?.();
          sinceTold = 0;
        }
        sinceTold += pause;
        // An abort ends the pause early; the next round throws its reason.
        await delay(pause, undefined, { signal: options.signal }).catch(() => undefined);
      }
    }
  }

  /** Of the open file. A process that inherits it holds the lock as well, for as long as it lives. */
  get descriptor(): number {
    return this.#handle.fd;
  }

  /** Also happens by itself when the process ends. */
  async release(): Promise<void> {
    await this.#handle.close();
  }
}

/**
 * Locks a file alone and waits for the process that has it: for what is read, changed and replaced as one step outside
 * of a home.
 *
 * @returns undefined where files cannot be locked.
 * @throws TartletError `DISK_*`, or the reason of the signal.
 */
export async function lockFile(
  file: string,
  options: Pick<LockOptions, 'signal' | 'onWait'>,
): Promise<FileLock | undefined> {
  try {
    return await FileLock.acquire(file, { ...options, mode: 'exclusive', wait: true });
  } catch (error) {
    if (isTartletError(error, 'DISK_UNSUPPORTED')) return undefined;
    throw error;
  }
}

/**
 * Locks a file alone, at once. A process that only asks whether it is locked has it to read for a moment: that is told
 * from a process that keeps it by asking too, and waited for.
 */
async function alone(file: string, handle: FileHandle): Promise<boolean> {
  for (let waited = 0; ; waited += ASKED_PAUSE_MS) {
    const granted = tryFlock(handle.fd, 'exclusive');
    if (granted === 'unsupported') throw noLocks(file);
    if (granted || waited > MAX_ASKED_MS || tryFlock(handle.fd, 'shared') === false) return granted;
    await delay(ASKED_PAUSE_MS);
  }
}

async function tryLock(file: string, handle: FileHandle, mode: LockOptions['mode']): Promise<boolean | 'unsupported'> {
  try {
    return tryFlock(handle.fd, mode);
  } catch (cause) {
    await handle.close();
    throw diskError(cause, 'lock', file);
  }
}

function noLocks(file: string): TartletError {
  return new TartletError('DISK_UNSUPPORTED', `there is no way to lock ${file} on this machine`, {
    subject: file,
    next: { kind: 'install-flock' },
  });
}

/**
 * Whether the path still leads to the file we locked: another process may have deleted or replaced it meanwhile
 * (reliability P22).
 */
async function isStill(file: string, handle: FileHandle): Promise<boolean> {
  try {
    const [there, ours] = await Promise.all([stat(file), handle.stat()]);
    return there.ino === ours.ino && there.dev === ours.dev;
  } catch {
    return false; // Deleted: the next round makes a new one.
  }
}
