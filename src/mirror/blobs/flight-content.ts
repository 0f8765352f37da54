import type { BlobVerifier } from '../../registry/blobs/blob-verifier.ts';
import type { BlobContent, BlobOrigin } from './contract.ts';
import type { Arrived, Flight } from './flight.ts';
import { PassingRead } from './passing-read.ts';

/**
 * A range of at most so many bytes that begins at least so far behind what has arrived does not wait for the flight: a
 * disk on demand wants a piece now, and its guest stands still meanwhile. It costs the upstream that range once more.
 * Larger ranges wait, because clients that fetch a blob in parts would fetch all of it many times.
 */
const SMALL_RANGE = 4 * 1024 * 1024;
const FAR_AHEAD = 8 * 1024 * 1024;

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

  async prepare(start: number, end = this.size): Promise<void> {
    // A client may be gone before its content was open: a flight that it began would be waited for by none, for ever.
    if (this.#isClosed) return;
    this.#begin();
    const found = await this.#wait(0);
    if (this.#isClosed || start >= end) return;
    const isFarAhead = end - start <= SMALL_RANGE && start - this.#flight.there >= FAR_AHEAD;
    if (found?.kind !== 'not-spooled' && !isFarAhead) return;
    this.#passing = this.#pass(end, found?.kind === 'not-spooled' && start === 0 ? found.verifier : undefined);
    await this.#passing.begin(start);
  }

  async read(buffer: Buffer, position: number): Promise<number> {
    if (this.#isClosed || position >= this.size || buffer.length === 0) return 0;
    this.#begin();
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

  #begin(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    this.#flight.begin(this.#origin);
  }

  async #readSome(buffer: Buffer, position: number): Promise<number> {
    while (this.#passing === undefined) {
      // Nothing is sent any more.
      if (this.#isClosed) return 0;
      const found = await this.#wait(position);
      if (found?.kind === 'here') {
        return this.#flight.read(buffer.subarray(0, Math.min(buffer.length, found.bytes)), position);
      }
      if (found?.kind === 'not-spooled' && !this.#isClosed) this.#passing = this.#pass(this.size, found.verifier);
    }
    return this.#passing.read(buffer, position);
  }

  async #wait(position: number): Promise<Arrived | undefined> {
    let found: Arrived | undefined;
    while (found === undefined && !this.#isClosed) {
      found = await this.#flight.arrived(position, (end) => {
        this.#endWaiting = end;
      });
    }
    return found;
  }

  #pass(to: number, verifier: BlobVerifier | undefined): PassingRead {
    const { size } = this;
    return new PassingRead({ origin: this.#origin, size, to, verifier, onFetched: this.#listener.onPassed });
  }
}
