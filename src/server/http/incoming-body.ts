import type { IncomingMessage } from 'node:http';
import { ClientAborted, type RequestBody } from '../contract/request-body.ts';

/**
 * Held back while a write is under way, in bytes; also how much is written at once (performance.md, trap 1: not 1 MiB).
 */
const BATCH = 256 * 1024;

/**
 * The body of one request. It is written in batches that grow while a write is under way, and the socket is paused when
 * a batch is full: so memory stays below two batches and a piece whatever the size of the body.
 */
export class IncomingBody implements RequestBody {
  readonly #request: IncomingMessage;
  readonly #ask: () => void;
  readonly #count: (bytes: number) => void;

  /**
   * @param told `ask` tells a client to go on that waits for `100 Continue`, and is called before the first byte is
   * read; `count` is told how many bytes each batch has.
   */
  constructor(request: IncomingMessage, told: { readonly ask: () => void; readonly count: (bytes: number) => void }) {
    this.#request = request;
    this.#ask = told.ask;
    this.#count = told.count;
  }

  async consume(write: (pieces: readonly Buffer[]) => Promise<void>): Promise<void> {
    this.#ask();
    await feed(this.#request, async (pieces) => {
      this.#count(pieces.reduce((sum, piece) => sum + piece.length, 0));
      await write(pieces);
    });
  }

  abort(): void {
    this.#request.destroy();
  }
}

async function feed(request: IncomingMessage, write: (pieces: readonly Buffer[]) => Promise<void>): Promise<void> {
  // An empty body may have been parsed before there was a listener.
  if (request.readableEnded) return;
  if (request.destroyed) throw new ClientAborted();
  let pieces: Buffer[] = [];
  let waiting = 0;
  let over: { readonly failure: unknown } | 'ended' | undefined;
  await new Promise<void>((resolve, reject) => {
    let writing = false;
    const advance = async (): Promise<void> => {
      if (writing) return;
      writing = true;
      while (pieces.length > 0 && (over === undefined || over === 'ended')) {
        const batch = pieces;
        pieces = [];
        waiting = 0;
        request.resume();
        try {
          await write(batch);
        } catch (failure) {
          over = { failure };
        }
      }
      writing = false;
      if (over === 'ended') resolve();
      else if (over !== undefined) reject(over.failure instanceof Error ? over.failure : new ClientAborted());
    };
    const finish = (how: { readonly failure: unknown } | 'ended'): void => {
      over ??= how;
      void advance();
    };
    request.on('data', (piece: Buffer) => {
      if (over !== undefined) return;
      pieces.push(piece);
      waiting += piece.length;
      if (waiting >= BATCH) request.pause();
      void advance();
    });
    request.once('end', () => finish('ended'));
    request.once('error', () => finish({ failure: new ClientAborted() }));
    request.once('close', () => finish({ failure: new ClientAborted() }));
  });
}
