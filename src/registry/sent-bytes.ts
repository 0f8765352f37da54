import type { RequestBody } from './request.ts';

/** Large enough to cost little, small enough that a body that is being taken shows as a moving one. */
const PIECE_BYTES = 256 * 1024;

/** Counts the bytes of one blob on their way out, so that what is sent again is not counted twice. */
export class SentBytes {
  readonly #onBytes: ((bytes: number) => void) | undefined;
  #total = 0;

  constructor(onBytes: ((bytes: number) => void) | undefined) {
    this.#onBytes = onBytes;
  }

  /** Everything sent so far was in vain. */
  takeBack(): void {
    this.#add(-this.#total);
  }

  /** A request body that counts. Each opening takes back what the opening before it has sent. */
  counted(length: number, open: () => Uint8Array | AsyncIterable<Uint8Array>): RequestBody {
    let before: number | undefined;
    return {
      length,
      open: () => {
        if (before === undefined) before = this.#total;
        else this.#add(before - this.#total);
        return this.#pass(open());
      },
    };
  }

  async *#pass(source: Uint8Array | AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const piece of source instanceof Uint8Array ? pieces(source) : source) {
      yield piece;
      this.#add(piece.length);
    }
  }

  #add(bytes: number): void {
    if (bytes === 0) return;
    this.#total += bytes;
    this.#onBytes?.(bytes);
  }
}

function* pieces(bytes: Uint8Array): Generator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
}
