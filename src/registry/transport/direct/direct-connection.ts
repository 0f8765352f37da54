import type { Socket } from 'node:net';
import type { Limits } from '../../request/limits.ts';
import { parsePlainHead, type ResponseHead } from './response-head.ts';
import { readerOf, type SocketReader } from './socket-reader.ts';

/** How every plain answer begins. */
const PROTOCOL = 'HTTP/1.1 ';

/** One connection, and one request after the other on it. */
export class DirectConnection {
  readonly #socket: Socket;
  readonly #reader: SocketReader;
  readonly limits: Limits;
  /** What arrived together with a head, and belongs to the body. */
  #rest: Uint8Array | undefined;
  #idle: NodeJS.Timeout | undefined;
  /** Of the answer that is being read. */
  #signal: AbortSignal | undefined;
  #patience: NodeJS.Timeout | undefined;
  #isWaiting = false;
  readonly #stop = (): void => void this.#socket.destroy();

  constructor(socket: Socket, limits: Limits) {
    this.#socket = socket;
    this.#reader = readerOf(socket);
    this.limits = limits;
  }

  get received(): number {
    return this.#reader.received;
  }

  /**
   * Sends a request and reads the head of its answer; undefined when it is not a plain one.
   * @param signal ends the connection until the answer is over, i.e. until {@link release} or {@link close}.
   */
  async ask(text: string, signal: AbortSignal | undefined): Promise<ResponseHead | undefined> {
    const { headersMs, responseHeaderBytes } = this.limits;
    this.#endWith(signal);
    const timer = setTimeout(() => this.#reader.abort('UND_ERR_HEADERS_TIMEOUT'), headersMs);
    try {
      this.#socket.write(text, 'latin1');
      let head = Buffer.alloc(0);
      for (;;) {
        const piece = await this.#reader.read();
        const searched = Math.max(0, head.length - 3);
        const known = head.length;
        // A head is short: this copies the beginning of the first piece only.
        head = Buffer.concat([head, piece.subarray(0, responseHeaderBytes)]);
        // What speaks otherwise may never send the end of a head.
        if (!isBegunAs(head, PROTOCOL)) return undefined;
        const end = head.indexOf('\r\n\r\n', searched);
        if (end >= 0) {
          this.#rest = piece.subarray(end + 4 - known);
          return parsePlainHead(head.toString('latin1', 0, end));
        }
        if (head.length >= responseHeaderBytes) return undefined;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** The next bytes of the body. */
  async read(): Promise<Uint8Array> {
    const rest = this.#rest;
    this.#rest = undefined;
    this.#signal?.throwIfAborted();
    if (rest !== undefined && rest.length > 0) return rest;
    if (!this.#reader.isQuiet) return this.#reader.read();
    // One timer for all reads of a body, and one listener above: new ones for each of thousands were a measurable part
    // of a pull.
    this.#patience ??= setTimeout(() => {
      if (this.#isWaiting) this.#reader.abort('UND_ERR_BODY_TIMEOUT');
    }, this.limits.bodyIdleMs);
    this.#patience.refresh();
    this.#isWaiting = true;
    try {
      return await this.#reader.read();
    } finally {
      this.#isWaiting = false;
    }
  }

  /** Waits for the next request. False, and closed, when there is something wrong with it. */
  release(milliseconds: number): boolean {
    this.#endAnswer();
    const hasSurplus = this.#rest !== undefined && this.#rest.length > 0;
    if (hasSurplus || !this.#reader.isQuiet) {
      this.close();
      return false;
    }
    this.#idle = setTimeout(() => this.close(), milliseconds);
    this.#idle.unref();
    this.#socket.unref();
    return true;
  }

  reuse(): boolean {
    clearTimeout(this.#idle);
    this.#socket.ref();
    if (this.#reader.isQuiet) return true;
    this.close();
    return false;
  }

  close(): void {
    this.#endAnswer();
    this.#socket.destroy();
  }

  #endWith(signal: AbortSignal | undefined): void {
    signal?.throwIfAborted();
    this.#signal = signal;
    signal?.addEventListener('abort', this.#stop, { once: true });
  }

  #endAnswer(): void {
    clearTimeout(this.#patience);
    this.#patience = undefined;
    this.#signal?.removeEventListener('abort', this.#stop);
    this.#signal = undefined;
  }
}

function isBegunAs(head: Buffer, text: string): boolean {
  return text.startsWith(head.toString('latin1', 0, text.length));
}
