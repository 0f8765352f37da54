import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Requests that one connection may send ahead of their answers. After the last of them is answered, the connection ends. */
const MAX_AHEAD = 32;
/** Requests sent ahead on all connections together: whoever exceeds it loses its connection. One takes some 4 KiB, which Node keeps. */
const MAX_HELD = 4_096;

interface Line {
  /** Told whether it is their turn; false when the connection has ended before. */
  readonly waiting: ((turn: boolean) => void)[];
  /** Whether a request is in work. */
  busy: boolean;
  /** Requests that were sent ahead, also those that will never be answered. */
  held: number;
  /** Whether one that waits will be the last to be answered. */
  ending: boolean;
}

/**
 * Works on one request of a connection at a time, in their order (issue 14, item 6). Node hands over all that a client has sent at once:
 * so a client that reads nothing could open files by the hundred, and one that guesses passwords begin with all of them before the first
 * has failed. It also never ends the answers that wait behind one that is broken off (Node 20), so nothing may wait with them.
 */
export class RequestQueue {
  readonly #lines = new WeakMap<Socket, Line>();
  #held = 0;

  /** Does `work`, which ends the response, when the answers before are closed; never, when the connection has ended by then. */
  async take(request: IncomingMessage, response: ServerResponse, work: () => Promise<void>): Promise<void> {
    const { socket } = request;
    const line = this.#lineOf(socket);
    if (line.busy && !(await this.#wait(line, socket, response))) return;
    line.busy = true;
    const closed = new Promise((resolve) => response.once('close', resolve));
    try {
      await work();
    } finally {
      void closed.then(() => this.#next(line, socket));
    }
  }

  async #wait(line: Line, socket: Socket, response: ServerResponse): Promise<boolean> {
    line.held += 1;
    this.#held += 1;
    if (this.#held > MAX_HELD) socket.destroy();
    if (line.ending || socket.destroyed) return false;
    if (line.held === MAX_AHEAD) {
      line.ending = true;
      response.setHeader('Connection', 'close');
      socket.pause();
    }
    return new Promise((resolve) => line.waiting.push(resolve));
  }

  #next(line: Line, socket: Socket): void {
    line.busy = false;
    // After an answer with `Connection: close`, too, nothing more can be written.
    if (socket.writable) {
      const tell = line.waiting.shift();
      if (tell === undefined) return;
      line.busy = true;
      line.held -= 1;
      this.#held -= 1;
      tell(true);
    } else for (const tell of line.waiting.splice(0)) tell(false);
  }

  #lineOf(socket: Socket): Line {
    const known = this.#lines.get(socket);
    if (known !== undefined) return known;
    const line: Line = { waiting: [], busy: false, held: 0, ending: false };
    this.#lines.set(socket, line);
    socket.once('close', () => {
      this.#held -= line.held;
      line.held = 0;
      for (const tell of line.waiting.splice(0)) tell(false);
    });
    return line;
  }
}
