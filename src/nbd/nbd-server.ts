import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { removeEntry } from '../fs/remove.ts';
import { placeSocket } from '../fs/socket.ts';
import type { NamedDevice } from './block-device.ts';
import { ByteReader } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import { negotiate } from './handshake.ts';
import { ConnectionBroken } from './protocol.ts';
import { Transmission } from './transmission.ts';

/** Who may read the devices. */
const FOR_THIS_USER = 0o600;

/** So many clients at once; further ones are turned away. QEMU has one connection, and `nbdcopy` four. */
const MOST_CONNECTIONS = 32;

/** How long a client may take to choose a device, in milliseconds. */
const CHOOSES_WITHIN_MS = 30_000;

/**
 * Gives devices to clients of this machine and this user, by the NBD protocol: fixed newstyle, without TLS, which a
 * socket of this kind does not need. Nothing can be written. Whatever a client sends, the worst that comes of it is the
 * end of its own connection; what one connection holds in memory is bounded.
 */
export class NbdServer {
  readonly #place: string;
  readonly #server: Server;
  readonly #connections = new Set<Socket>();

  private constructor(place: string, devices: readonly NamedDevice[]) {
    this.#place = place;
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      if (this.#connections.size >= MOST_CONNECTIONS) {
        socket.destroy();
        return;
      }
      this.#connections.add(socket);
      socket.once('close', () => this.#connections.delete(socket));
      void serveConnection(socket, devices);
    });
  }

  /**
   * Listens at a Unix socket that only this user can connect to; what lies there is replaced.
   * @param place absolute, of any length.
   * @throws the system's own errors
   */
  static async listen(place: string, devices: readonly NamedDevice[]): Promise<NbdServer> {
    const server = new NbdServer(place, devices);
    await placeSocket(place, FOR_THIS_USER, async (path) => {
      server.#server.listen(path);
      await once(server.#server, 'listening');
    });
    return server;
  }

  /** Ends all connections, and removes the socket. */
  async close(): Promise<void> {
    this.#server.close();
    for (const socket of this.#connections) socket.destroy();
    await removeEntry(this.#place);
  }
}

/**
 * Serves one client, until it leaves or does not keep to the protocol. Never fails.
 * @internal exported for its test.
 * @param stream is destroyed in the end.
 * @param choosesWithinMs how long the client may take to choose a device, in milliseconds.
 */
export async function serveConnection(
  stream: Duplex,
  devices: readonly NamedDevice[],
  choosesWithinMs = CHOOSES_WITHIN_MS,
): Promise<void> {
  const ended = new AbortController();
  const end = (): void => ended.abort(new ConnectionBroken('the connection has ended'));
  stream.on('error', () => undefined); // `close` follows.
  stream.once('close', end);
  const patience = setTimeout(() => stream.destroy(), choosesWithinMs);
  try {
    const reader = new ByteReader(stream);
    const writer = new ByteWriter(stream, ended.signal);
    const agreed = await negotiate(reader, writer, devices);
    clearTimeout(patience);
    const connection = { reader, writer, signal: ended.signal, abandon: () => void stream.destroy() };
    if (agreed !== undefined) await new Transmission(agreed, connection).serve();
    // What was answered last arrives before the connection ends.
    stream.end();
    await once(stream, 'finish', { signal: ended.signal });
  } catch {
    // The connection is of no use any more, and no other is touched.
  } finally {
    clearTimeout(patience);
    end();
    stream.destroy();
  }
}
