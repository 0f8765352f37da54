import type { Readable } from 'node:stream';

/**
 * Pieces that may wait for a slow reader before the connection is told to pause: with undici's 64 KiB pieces half a
 * megabyte.
 */
const QUEUE = 8;

/**
 * The pieces of a stream exactly as they arrive. Node's own iterator joins waiting pieces into one, which copies every
 * byte once more whenever the network is faster than the reader. Leaving the loop early destroys the stream.
 */
export class PieceReader implements AsyncIterableIterator<Uint8Array> {
  readonly #stream: Readable;
  readonly #queue: Uint8Array[] = [];
  #waiting: { resolve: (result: IteratorResult<Uint8Array>) => void; reject: (error: unknown) => void } | undefined;
  #end: { readonly error?: unknown } | undefined;

  constructor(stream: Readable) {
    this.#stream = stream;
    stream.on('data', (piece: Uint8Array) => this.#take(piece));
    stream.once('end', () => this.#finish({}));
    stream.once('error', (error) => this.#finish({ error }));
    // A stream that is closed without an end was destroyed by its owner.
    stream.once('close', () => this.#finish({ error: closed() }));
    // Of what happened before we came no event tells: a reader that waited for one would wait for ever.
    if (stream.errored !== null) this.#finish({ error: stream.errored });
    else if (stream.readableEnded) this.#finish({});
    else if (stream.destroyed) this.#finish({ error: closed() });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    const piece = this.#queue.shift();
    if (piece !== undefined) {
      if (this.#queue.length === 0 && this.#stream.isPaused()) this.#stream.resume();
      return Promise.resolve({ done: false, value: piece });
    }
    if (this.#end !== undefined) {
      const { error } = this.#end;
      // An error is told once; afterwards there is only the end.
      this.#end = {};
      return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
    }
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  return(): Promise<IteratorResult<Uint8Array>> {
    this.#queue.length = 0;
    this.#end = {};
    this.#stream.destroy();
    return Promise.resolve({ done: true, value: undefined });
  }

  #take(piece: Uint8Array): void {
    const waiting = this.#waiting;
    if (waiting === undefined) {
      this.#queue.push(piece);
      if (this.#queue.length >= QUEUE) this.#stream.pause();
      return;
    }
    this.#waiting = undefined;
    waiting.resolve({ done: false, value: piece });
  }

  #finish(end: { readonly error?: unknown }): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) return;
    this.#end = {};
    if ('error' in end) waiting.reject(end.error);
    else waiting.resolve({ done: true, value: undefined });
  }
}

function closed(): Error {
  return Object.assign(new Error('the body was closed'), { code: 'UND_ERR_DESTROYED' });
}
