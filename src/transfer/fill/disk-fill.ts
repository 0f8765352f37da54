import type { ByteRange } from '../../fs/disk/read-range.ts';
import type { DiskChunk } from '../../oci/tart-image.ts';
import { DiskUnits } from './disk-units.ts';

/** What a reader still waits for. */
interface Waiting {
  readonly missing: Set<number>;
  readonly wake: () => void;
}

/**
 * How far the disk of a pull is, for those who read it before it is whole: what is verified, and what is waited for.
 * Both are kept by the unit ({@link DiskUnits}), so that nothing is waited for that lies beside what is read.
 */
export class DiskFill {
  readonly units: DiskUnits;
  readonly #verified: Uint8Array;
  /** Who waits for a unit; that first which was waited for first. */
  readonly #waiting = new Map<number, Set<Waiting>>();
  readonly #listeners = new Set<() => void>();

  /** @param chunks of the disk, in their order. */
  constructor(chunks: readonly DiskChunk[]) {
    this.units = new DiskUnits(chunks);
    this.#verified = new Uint8Array(this.units.count);
  }

  /** All bytes of a chunk are on the disk, and their digest matched. */
  verified(chunk: DiskChunk): void {
    const { first, last } = this.units.of(chunk);
    for (let unit = first; unit <= last; unit += 1) this.#see(unit);
  }

  /** The same for one piece of a chunk. */
  verifiedPiece(chunk: DiskChunk, piece: number): void {
    this.#see(this.units.of(chunk).first + piece);
  }

  /** Whether something waits for a part of a chunk. */
  isUrgent(chunk: DiskChunk): boolean {
    if (this.#waiting.size === 0) return false;
    const { first, last } = this.units.of(chunk);
    for (const unit of this.#waiting.keys()) if (unit >= first && unit <= last) return true;
    return false;
  }

  /** Whether something waits for a piece of a chunk. */
  isUrgentPiece(chunk: DiskChunk, piece: number): boolean {
    return this.#waiting.has(this.units.of(chunk).first + piece);
  }

  /** The numbers of units that are waited for; that first which was waited for first. */
  get wanted(): Iterable<number> {
    return this.#waiting.keys();
  }

  /**
   * Calls back whenever something has become urgent, or is not any more, because those who waited have gone.
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
    signal.throwIfAborted();
    const { first, last } = this.units.within(range);
    const missing = new Set<number>();
    for (let unit = first; unit <= last; unit += 1) if (this.#verified[unit] !== 1) missing.add(unit);
    if (missing.size === 0) return;
    await new Promise<void>((resolve, reject) => {
      const stop = (): void => {
        this.#leave(waiting);
        reject(signal.reason as Error);
      };
      const wake = (): void => {
        signal.removeEventListener('abort', stop);
        resolve();
      };
      const waiting: Waiting = { missing, wake };
      signal.addEventListener('abort', stop, { once: true });
      let isNews = false;
      for (const unit of missing) {
        const all = this.#waiting.get(unit);
        all?.add(waiting);
        if (all === undefined) this.#waiting.set(unit, new Set([waiting]));
        isNews ||= all === undefined;
      }
      if (isNews) this.#tell();
    });
  }

  #see(unit: number): void {
    this.#verified[unit] = 1;
    const all = this.#waiting.get(unit);
    this.#waiting.delete(unit);
    for (const { missing, wake } of all ?? []) {
      missing.delete(unit);
      if (missing.size === 0) wake();
    }
  }

  #leave(waiting: Waiting): void {
    let isNews = false;
    for (const unit of waiting.missing) {
      const all = this.#waiting.get(unit);
      all?.delete(waiting);
      if (all?.size !== 0) continue;
      this.#waiting.delete(unit);
      isNews = true;
    }
    if (isNews) this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
