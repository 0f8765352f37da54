/** What jobs spent their time on, in milliseconds. Several jobs at once add up to more than the time that passed. */
export interface TimeSpent {
  /** Hashing and decoding. */
  readonly processorMs: number;
  /** Reading from and writing to the disk. */
  readonly diskMs: number;
}

/** What kept a transfer from being faster. */
export type Bound = 'registry' | 'processors' | 'disk';

/** Threads that are busy for so much of the time have nothing to spare. */
const BUSY = 0.75;

/**
 * A side that waits is held back by the other one; a side that never waits, by the largest part of its own work.
 * @param elapsedMs how long it took; @param threads how many could work at once.
 */
export function boundOf({ processorMs, diskMs }: TimeSpent, elapsedMs: number, threads: number): Bound {
  if (processorMs + diskMs < BUSY * elapsedMs * threads) return 'registry';
  return diskMs > processorMs ? 'disk' : 'processors';
}

/** The clock for times that are not reported. */
const UNASKED = (): number => 0;

/** Takes the time of work, without waits for the other side. */
export class Stopwatch {
  readonly #monotonic: () => number;
  #processorMs = 0;
  #diskMs = 0;

  /** @param monotonic milliseconds that never jump. Default: nothing is measured. */
  constructor(monotonic: () => number = UNASKED) {
    this.#monotonic = monotonic;
  }

  get spent(): TimeSpent {
    return { processorMs: this.#processorMs, diskMs: this.#diskMs };
  }

  /** Work for the disk; it may be a part of work for the processor, and is not counted there. */
  onDisk<T>(work: () => T): T {
    const began = this.#monotonic();
    try {
      return work();
    } finally {
      this.#diskMs += this.#monotonic() - began;
    }
  }

  onProcessor<T>(work: () => T): T {
    const began = this.#monotonic();
    const diskBefore = this.#diskMs;
    try {
      return work();
    } finally {
      this.#processorMs += this.#monotonic() - began - (this.#diskMs - diskBefore);
    }
  }
}
