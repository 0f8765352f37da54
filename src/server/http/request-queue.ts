import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Requests that one connection may send ahead of their answers. After the last of them is answered, the connection
 * ends.
 */
const MAX_AHEAD = 32;
/** Bytes of requests sent ahead on all connections together: beyond it, the connection with the most is ended. */
const MAX_HELD = 16 * 1024 * 1024;
/** What Node keeps of a request, beside its fields and for each of them, in bytes. */
const PER_REQUEST = 4_096;
const PER_FIELD = 64;

interface Line {
  /** Told whether it is their turn; false when the connection has ended before. */
  readonly waiting: ((turn: boolean) => void)[];
  /** Whether a request is in work. */
  busy: boolean;
  /** Requests that were sent ahead, also those that will never be answered. */
  held: number;
  /** What these take, in bytes. */
  bytes: number;
  /** Whether one that waits will be the last to be answered. */
  ending: boolean;
}

/**
 * Works on one request of a connection at a time, in their order (issue 14, item 6). Node hands over all that a client
 * has sent at once: so a client that reads nothing could open files by the hundred, and one that guesses passwords
 * begin with all of them before the first has failed. It also never ends the answers that wait behind one that is
 * broken off (Node 20), so nothing may wait with them.
 */
export class RequestQueue {
  readonly #lines = new Map<Socket, Line>();
  #held = 0;

  /**
   * Does `work`, which ends the response, when the answers before are closed; never, when the connection has ended by
   * then.
   */
  async take(request: IncomingMessage, response: ServerResponse, work: () => Promise<void>): Promise<void> {
    const { socket } = request;
    const line = this.#lineOf(socket);
    if (line.busy && !(await this.#wait(line, request, response))) return;
    line.busy = true;
    const closed = new Promise((resolve) => response.once('close', resolve));
    try {
      await work();
    } finally {
      void closed.then(() => this.#next(line, socket));
    }
  }

  async #wait(line: Line, request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const { socket } = request;
    if (socket.destroyed) return false;
    const bytes = sizeOf(request);
    line.held += 1;
    line.bytes += bytes;
    this.#held += bytes;
    if (this.#held > MAX_HELD) this.#endLargest();
    if (line.ending || socket.destroyed) return false;
    if (line.held === MAX_AHEAD) {
      line.ending = true;
      response.setHeader('Connection', 'close');
      socket.pause();
    }
    const turn = await new Promise<boolean>((resolve) => line.waiting.push(resolve));
    if (turn) this.#release(line, { held: 1, bytes });
    return turn;
  }

  #next(line: Line, socket: Socket): void {
    line.busy = false;
    // After an answer with `Connection: close`, too, nothing more can be written.
    if (socket.writable) {
      const tell = line.waiting.shift();
      if (tell === undefined) return;
      line.busy = true;
      tell(true);
    } else for (const tell of line.waiting.splice(0)) tell(false);
  }

  #release(line: Line, { held, bytes }: { readonly held: number; readonly bytes: number }): void {
    line.held -= held;
    line.bytes -= bytes;
    this.#held -= bytes;
  }

  #endLargest(): void {
    const [socket] = [...this.#lines].reduce((one, other) => (other[1].bytes > one[1].bytes ? other : one));
    socket.destroy();
    // It is told to be closed only later, and what comes with it now would cost the next one its connection.
    const line = this.#lines.get(socket);
    if (line !== undefined) this.#release(line, line);
  }

  #lineOf(socket: Socket): Line {
    const known = this.#lines.get(socket);
    if (known !== undefined) return known;
    const line: Line = { waiting: [], busy: false, held: 0, bytes: 0, ending: false };
    // It will not be closed a second time.
    if (socket.destroyed) return line;
    this.#lines.set(socket, line);
    socket.once('close', () => {
      this.#lines.delete(socket);
      this.#release(line, line);
      for (const tell of line.waiting.splice(0)) tell(false);
    });
    return line;
  }
}

function sizeOf({ rawHeaders }: IncomingMessage): number {
  return rawHeaders.reduce((sum, text) => sum + text.length + PER_FIELD, PER_REQUEST);
}
