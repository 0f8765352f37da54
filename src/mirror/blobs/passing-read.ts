import { TartletError } from '../../errors.ts';
import type { BlobVerifier } from '../../registry/blobs/blob-verifier.ts';
import type { BlobOrigin } from './contract.ts';

/** What is passed on, and how. */
export interface PassingSettings {
  readonly origin: BlobOrigin;
  /** Bytes of the blob. */
  readonly size: number;
  /** The byte after the last one wanted. */
  readonly to: number;
  /** What has seen every byte before the first that is read; undefined where that cannot be, as of a range. */
  readonly verifier: BlobVerifier | undefined;
  readonly onFetched: (bytes: number) => void;
}

/**
 * Bytes that go from an upstream to one client without a spool. Nothing of them is kept but the rest of one piece.
 */
export class PassingRead {
  readonly #settings: PassingSettings;
  readonly #abort = new AbortController();
  #pieces: AsyncIterator<Uint8Array> | undefined;
  /** What is left of the last piece, and where it stands. */
  #rest: Uint8Array = new Uint8Array(0);
  #at = 0;

  constructor(settings: PassingSettings) {
    this.#settings = settings;
  }

  /** Asks the upstream for what stands from a position on, and waits until some comes. @throws as {@link read} */
  async begin(position: number): Promise<void> {
    const { origin, to } = this.#settings;
    this.#at = position;
    const pieces = origin.read(position, this.#abort.signal, to)[Symbol.asyncIterator]();
    this.#pieces = pieces;
    await this.#fill(pieces);
  }

  /**
   * Reads on behind the last read.
   * @returns at least one byte. @throws what the upstream says, `DIGEST_MISMATCH`, `SIZE_MISMATCH`.
   */
  async read(buffer: Buffer, position: number): Promise<number> {
    if (this.#pieces === undefined) await this.begin(position);
    else await this.#fill(this.#pieces);
    if (position !== this.#at) throw new TartletError('INTERNAL', 'bytes that pass are read out of order');
    const count = Math.min(buffer.length, this.#rest.length);
    buffer.set(this.#rest.subarray(0, count));
    this.#rest = this.#rest.subarray(count);
    this.#at += count;
    return count;
  }

  /** Ends a read that waits as well. */
  close(): void {
    this.#abort.abort(new TartletError('INTERRUPTED', 'the client has gone'));
    // A generator that has not begun, or is waiting, ends with this; how does not matter any more.
    void this.#pieces?.return?.().catch(() => undefined);
  }

  async #fill(pieces: AsyncIterator<Uint8Array>): Promise<void> {
    const { verifier, size, onFetched } = this.#settings;
    while (this.#rest.length === 0) {
      const next = await pieces.next();
      if (next.done === true) throw new TartletError('NET_BROKEN', 'a blob that was passed on ended early');
      this.#rest = next.value;
      onFetched(next.value.length);
      verifier?.update(next.value);
      // Before the last piece is passed on: nothing wrong looks whole.
      if (verifier?.seen === size) verifier.verdict();
    }
  }
}
