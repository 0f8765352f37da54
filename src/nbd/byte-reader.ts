import type { Readable } from 'node:stream';
import { ConnectionBroken } from './protocol.ts';

/** Takes a stream apart by numbers of bytes. No more is read ahead than a stream keeps by itself. */
export class ByteReader {
  readonly #pieces: AsyncIterator<Buffer, undefined>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(stream: Readable) {
    this.#pieces = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
  }

  /**
   * @param count is held in memory: the caller has looked at it.
   * @throws ConnectionBroken where the stream ends before
   */
  async read(count: number): Promise<Buffer> {
    const pieces = [this.#rest];
    let length = this.#rest.length;
    while (length < count) {
      const piece = await this.#next();
      pieces.push(piece);
      length += piece.length;
    }
    const bytes = pieces.length === 1 ? this.#rest : Buffer.concat(pieces, length);
    this.#rest = bytes.subarray(count);
    return bytes.subarray(0, count);
  }

  /** Passes over bytes, of which none are kept. @throws ConnectionBroken where the stream ends before */
  async skip(count: number): Promise<void> {
    let left = count - this.#rest.length;
    while (left > 0) {
      this.#rest = await this.#next();
      left -= this.#rest.length;
    }
    this.#rest = this.#rest.subarray(this.#rest.length + left);
  }

  async #next(): Promise<Buffer> {
    try {
      const { done, value } = await this.#pieces.next();
      if (done !== true) return value;
    } catch {
      // A connection that was reset is one that has ended.
    }
    throw new ConnectionBroken('the client has gone');
  }
}
