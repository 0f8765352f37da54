import { describeError, isTartletError, TartletError } from '../../errors.ts';
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
        return this.#pass(open);
      },
    };
  }

  async *#pass(open: () => Uint8Array | AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    const source = await ofSource(open);
    const iterator = source instanceof Uint8Array ? pieces(source) : source[Symbol.asyncIterator]();
    try {
      for (;;) {
        // What the connection does wrong is thrown into the `yield` below, and is no fault of the source.
        const next = await ofSource(() => iterator.next());
        if (next.done === true) return;
        yield next.value;
        this.#add(next.value.length);
      }
    } finally {
      await iterator.return?.(undefined);
    }
  }

  #add(bytes: number): void {
    if (bytes === 0) return;
    this.#total += bytes;
    this.#onBytes?.(bytes);
  }
}

/** What is wrong with the bytes to be sent is no fault of the network, and sending them again would not repair it. */
async function ofSource<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (isTartletError(cause)) throw cause;
    const why = describeError(cause);
    throw new TartletError('INTERNAL', `cannot read what is to be sent: ${why}`, { retryable: false, cause });
  }
}

function* pieces(bytes: Uint8Array): Generator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
}
