import type { BlobContent, BlobOrigin } from './contract.ts';
import type { Flight } from './flight.ts';
import { PassingRead } from './passing-read.ts';

/** Told how many bytes came for one client alone, and how many were read for a client. */
export interface ContentListener {
  readonly onPassed: (bytes: number) => void;
  readonly onServed: (bytes: number) => void;
}

/** A blob that may still be arriving, for one client: nothing of it is kept in memory. */
export class FlightContent implements BlobContent {
  readonly #flight: Flight;
  readonly #origin: BlobOrigin;
  readonly #listener: ContentListener;
  #hasBegun = false;
  #isClosed = false;
  #endWaiting: (() => void) | undefined;
  #passing: PassingRead | undefined;

  constructor(flight: Flight, origin: BlobOrigin, listener: ContentListener) {
    this.#flight = flight;
    this.#origin = origin;
    this.#listener = listener;
    flight.opened();
  }

  get size(): number {
    return this.#flight.size;
  }

  async read(buffer: Buffer, position: number): Promise<number> {
    if (position >= this.size || buffer.length === 0) return 0;
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      this.#flight.begin(this.#origin);
    }
    const count = await this.#readSome(buffer, position);
    this.#listener.onServed(count);
    return count;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#endWaiting?.();
    this.#passing?.close();
    await this.#flight.closed(this.#hasBegun ? this.#origin : undefined);
  }

  async #readSome(buffer: Buffer, position: number): Promise<number> {
    while (this.#passing === undefined) {
      // Nothing is sent any more.
      if (this.#isClosed) return 0;
      const found = await this.#flight.arrived(position, (end) => {
        this.#endWaiting = end;
      });
      if (found?.kind === 'here') {
        return this.#flight.read(buffer.subarray(0, Math.min(buffer.length, found.bytes)), position);
      }
      if (found?.kind === 'not-spooled' && !this.#isClosed) {
        const { onPassed } = this.#listener;
        const { size } = this;
        this.#passing = new PassingRead({
          origin: this.#origin,
          size,
          to: size,
          verifier: found.verifier,
          onFetched: onPassed,
        });
      }
    }
    return this.#passing.read(buffer, position);
  }
}
