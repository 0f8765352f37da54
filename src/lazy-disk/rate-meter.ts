import { sharedClock } from '../registry/request/clock.ts';
import type { TransferEvent } from '../session/progress.ts';

/** How fast a pull comes. */
export interface MeasuredRate {
  readonly bytesPerSecond: number;
  /** Bytes that have to come in all, without what is on this machine; undefined until that is known. */
  readonly leftBytes: number | undefined;
}

/** Measures the rate of a pull for a while, from its first bytes on: the time of its first answers does not count. */
export class RateMeter {
  readonly #tell: (rate: MeasuredRate) => void;
  readonly #forMs: number;
  #since: number | undefined;
  #bytes = 0;
  #leftBytes: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param tell told once, when that while is over, unless nothing came in it. */
  constructor(forMs: number, tell: (rate: MeasuredRate) => void) {
    this.#forMs = forMs;
    this.#tell = tell;
  }

  see(event: TransferEvent): void {
    if (event.kind === 'started') this.#leftBytes = event.bytesTotal;
    if (event.kind !== 'bytes') return;
    if (this.#since === undefined) {
      this.#since = sharedClock.monotonic();
      this.#timer = setTimeout(() => this.#finish(), this.#forMs);
    } else this.#bytes += event.count;
  }

  /** Tells nothing any more. */
  close(): void {
    clearTimeout(this.#timer);
  }

  #finish(): void {
    const seconds = (sharedClock.monotonic() - (this.#since ?? 0)) / 1000;
    if (this.#bytes > 0) this.#tell({ bytesPerSecond: this.#bytes / seconds, leftBytes: this.#leftBytes });
  }
}
