import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

/** A port that says something at once, and then the same, or something else, a hundred times a second. */
export class DrippingPort {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(first: string, then: string) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.resume();
      socket.write(first, 'latin1');
      const timer = setInterval(() => socket.write(then, 'latin1'), 10);
      socket.once('close', () => {
        clearInterval(timer);
        this.#sockets.delete(socket);
      });
    });
  }

  /** Listens on a free port of this machine. */
  static async start(first: string, then = first): Promise<DrippingPort> {
    const port = new DrippingPort(first, then);
    await new Promise<void>((resolve) => {
      port.#server.listen(0, '127.0.0.1', resolve);
    });
    return port;
  }

  get number(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }
}
