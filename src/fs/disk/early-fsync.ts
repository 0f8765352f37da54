import type { FileHandle } from 'node:fs/promises';
import type { TartletError } from '../../errors.ts';
import { diskError, onDisk } from '../disk-error.ts';
import { removeLost } from '../fsync.ts';
import { openPlainFile } from '../plain-file.ts';

/** Milliseconds between the end of one fsync and the begin of the next. */
const PAUSE_MS = 200;

/** Bytes of a disk below which there is nothing to gain. */
export const WORTH_EARLY_FSYNC_BYTES = 256 * 1024 * 1024;

/**
 * Sends a file to the disk while it is still being written. The system would begin only when gigabytes wait, so that
 * all of a small image is waited for at its end, with the processors idle. It makes nothing durable that counts: the
 * caller fsyncs the file before it publishes it.
 */
export class EarlyFsync {
  readonly #file: string;
  readonly #handle: FileHandle;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #failure: TartletError | undefined;

  private constructor(file: string, handle: FileHandle) {
    this.#file = file;
    this.#handle = handle;
    this.#wait();
  }

  /** Begins; {@link end} is the caller's duty. @throws TartletError `DISK_*` */
  static async of(file: string): Promise<EarlyFsync> {
    return new EarlyFsync(file, await onDisk('open', file, async () => openPlainFile(file, 'write')));
  }

  #wait(): void {
    this.#timer = setTimeout(() => {
      this.#running = this.fsyncNow();
    }, PAUSE_MS).unref();
  }

  /**
   * One fsync, and the time until the next begins anew. Never fails: {@link end} does. @internal exported for the test
   * of a failure.
   */
  async fsyncNow(): Promise<void> {
    clearTimeout(this.#timer);
    try {
      await this.#handle.datasync();
      this.#wait();
    } catch (cause) {
      // Told once and then forgotten by the system, pages and all: a later fsync would say that all is well
      // (reliability D9).
      this.#failure = diskError(cause, 'fsync', this.#file);
    }
  }

  /** @throws TartletError `DISK_*` when a fsync failed: the file is lost then, and the work on it in vain. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Ends it, whatever became of the file. @throws TartletError `DISK_*` as {@link check}; the file is removed then. */
  async end(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#running;
    clearTimeout(this.#timer);
    await this.#handle.close();
    if (this.#failure !== undefined) throw await removeLost(this.#file, this.#failure);
  }
}
