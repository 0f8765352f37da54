import { createHash, type Hash } from 'node:crypto';
import { HEADER_BYTES } from '../codec/apple-lz4-format.ts';
import { PIECE_BYTES, pieceEntry, zeroHex } from '../oci/piece-index.ts';
import { isZeroPiece } from './disk-window.ts';

const ZEROS = Buffer.alloc(PIECE_BYTES);

/** Writes down where the pieces of a chunk are in its blob and what they hold, while it is encoded. */
export class PieceRecorder {
  /** After so many bytes the encoder begins anew. */
  readonly pieceBytes = PIECE_BYTES;
  /** Bytes that have been encoded so far. */
  readonly #encodedBytes: () => number;
  readonly #entries: Uint8Array[] = [];
  /** Of the piece under way; undefined while it is all zeros: most of a disk is, and those have one digest. */
  #hash: Hash | undefined;
  #filled = 0;
  /** Where the piece under way begins in the blob. */
  #start = 0;

  /** @param encodedBytes up to date when the bytes of whole blocks have been encoded. */
  constructor(encodedBytes: () => number) {
    this.#encodedBytes = encodedBytes;
  }

  /** Takes the next bytes of the chunk, split anywhere. @param encode takes them as well, up to the end of a piece. */
  push(raw: Uint8Array, encode: (bytes: Uint8Array) => void): void {
    for (let done = 0; done < raw.length; ) {
      const part = raw.subarray(done, done + PIECE_BYTES - this.#filled);
      this.#add(part);
      encode(part);
      done += part.length;
      if (this.#filled === PIECE_BYTES) this.#end(this.#encodedBytes());
    }
  }

  #add(part: Uint8Array): void {
    if (this.#hash === undefined && !isZeroPiece(part)) {
      this.#hash = createHash('sha256').update(ZEROS.subarray(0, this.#filled));
    }
    this.#hash?.update(part);
    this.#filled += part.length;
  }

  #end(encodedTo: number): void {
    const content = this.#hash?.digest() ?? Buffer.from(zeroHex(this.#filled), 'hex');
    this.#entries.push(pieceEntry(encodedTo - this.#start, content));
    this.#start = encodedTo;
    this.#filled = 0;
    this.#hash = undefined;
  }

  /** @returns the entries, when the stream has been ended. */
  finish(): Uint8Array {
    if (this.#filled > 0) this.#end(this.#encodedBytes() - HEADER_BYTES.end);
    return Buffer.concat(this.#entries);
  }
}
