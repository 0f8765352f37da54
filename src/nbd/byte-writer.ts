import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { ConnectionBroken } from './protocol.ts';

/**
 * Writes messages to a stream one after the other, each whole. Nothing piles up: the next bytes are made when the
 * stream has room for them.
 */
export class ByteWriter {
  readonly #stream: Writable;
  readonly #signal: AbortSignal;
  #turn: Promise<void> = Promise.resolve();

  /** @param signal aborted when the connection has ended, so that no message waits for room any more. */
  constructor(stream: Writable, signal: AbortSignal) {
    this.#stream = stream;
    this.#signal = signal;
  }

  /**
   * Writes a message when those before it are written.
   * @param parts asked for one by one. Where they fail in the middle, the stream is of no use any more.
   * @throws ConnectionBroken, also where making the parts fails
   */
  async write(parts: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void> {
    const mine = this.#turn.then(async () => this.#writeNow(parts));
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #writeNow(parts: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void> {
    try {
      for await (const part of parts) {
        this.#signal.throwIfAborted();
        if (!this.#stream.write(part)) await once(this.#stream, 'drain', { signal: this.#signal });
      }
    } catch (cause) {
      throw new ConnectionBroken('a message could not be finished', { cause });
    }
  }
}
