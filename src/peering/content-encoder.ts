import { AppleLz4Encoder } from '../codec/apple-lz4-encoder.ts';
import type { EncoderWorkspace } from '../codec/lz4-backend.ts';
import { isZero } from '../codec/zero.ts';
import { DATA_BYTES, recordHead } from './content-stream.ts';

/** Zeros are looked for in extents of this length, counted from where the stream begins. */
const GRANULE_BYTES = 64 * 1024;

/** More zeros than this go into the next record: their number has 32 bits. */
const MOST_ZEROS = 2 ** 31;

/** Makes the stream of a content (`content-stream.ts`), as it is read. One stream, then it is spent. */
export class ContentEncoder {
  readonly #workspace: EncoderWorkspace;
  readonly #data = Buffer.allocUnsafe(DATA_BYTES);
  #filled = 0;
  #zeros = 0;

  /** @param workspace is used during calls only, so that several encoders of a thread may have the same. */
  constructor(workspace: EncoderWorkspace) {
    this.#workspace = workspace;
  }

  /** Takes the next bytes. @returns the records that are whole now, in memory of their own. */
  push(piece: Uint8Array): Uint8Array[] {
    const records: Uint8Array[] = [];
    for (let at = 0; at < piece.length; at += GRANULE_BYTES) {
      const granule = piece.subarray(at, at + GRANULE_BYTES);
      const zero = isZero(granule);
      const isFull = zero ? this.#filled > 0 : this.#filled + granule.length > DATA_BYTES;
      if (isFull || this.#zeros >= MOST_ZEROS) records.push(...this.finish());
      if (zero) this.#zeros += granule.length;
      else {
        this.#data.set(granule, this.#filled);
        this.#filled += granule.length;
      }
    }
    return records;
  }

  /** The record of what is gathered; none of nothing. */
  finish(): Uint8Array[] {
    if (this.#zeros + this.#filled === 0) return [];
    const data = this.#data.subarray(0, this.#filled);
    const encoded = data.length === 0 ? new Uint8Array() : this.#encode(data);
    const record = Buffer.concat([recordHead(this.#zeros, data.length, encoded.length), encoded]);
    this.#zeros = 0;
    this.#filled = 0;
    return [record];
  }

  #encode(data: Uint8Array): Uint8Array {
    const blocks: Uint8Array[] = [];
    const encoder = new AppleLz4Encoder((block) => blocks.push(Uint8Array.from(block)), this.#workspace);
    encoder.push(data);
    encoder.finish();
    return Buffer.concat(blocks);
  }
}
