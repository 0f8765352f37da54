import type { ByteRange } from '../../fs/disk/read-range.ts';
import type { DiskChunk } from '../../oci/tart-image.ts';
import { chunksWithin } from './chunks-within.ts';

/**
 * How far the disk of a pull is, for those who read it before it is whole: what is verified, and what is waited for. A
 * chunk that is waited for is fetched before the others.
 */
export class DiskFill {
  readonly #chunks: readonly DiskChunk[];
  readonly #verified = new Set<DiskChunk>();
  /** Who waits for a chunk. */
  readonly #waiting = new Map<DiskChunk, Set<() => void>>();
  readonly #listeners = new Set<() => void>();

  /** @param chunks of the disk, in their order. */
  constructor(chunks: readonly DiskChunk[]) {
    this.#chunks = chunks;
  }

  /** All bytes of a chunk are on the disk, and their digest matched. */
  verified(chunk: DiskChunk): void {
    this.#verified.add(chunk);
    const waiting = this.#waiting.get(chunk);
    this.#waiting.delete(chunk);
    for (const wake of waiting ?? []) wake();
  }

  isUrgent(chunk: DiskChunk): boolean {
    return this.#waiting.has(chunk);
  }

  /**
   * Calls back whenever a chunk has become urgent, or is not any more, because those who waited have gone.
   * @returns what ends that.
   */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Waits until all of a range is verified.
   * @throws the signal's reason; what it waited for is not urgent any more then, unless others wait for it.
   */
  async ready(range: ByteRange, signal: AbortSignal): Promise<void> {
    const missing = chunksWithin(this.#chunks, range).filter((chunk) => !this.#verified.has(chunk));
    await Promise.all(missing.map(async (chunk) => this.#wait(chunk, signal)));
  }

  async #wait(chunk: DiskChunk, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const waiting = this.#waiting.get(chunk) ?? new Set<() => void>();
    const isNews = waiting.size === 0;
    this.#waiting.set(chunk, waiting);
    await new Promise<void>((resolve, reject) => {
      const stop = (): void => {
        waiting.delete(wake);
        if (waiting.size === 0 && this.#waiting.get(chunk) === waiting) {
          this.#waiting.delete(chunk);
          this.#tell();
        }
        reject(signal.reason as Error);
      };
      const wake = (): void => {
        signal.removeEventListener('abort', stop);
        resolve();
      };
      waiting.add(wake);
      signal.addEventListener('abort', stop, { once: true });
      if (isNews) this.#tell();
    });
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
