import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { ByteRange } from '../fs/disk/read-range.ts';
import { reachSocket } from '../fs/socket.ts';
import { ByteReader } from './byte-reader.ts';
import { Command, ConnectionBroken, HandshakeFlag, InfoType, Magic, OptionReply, OptionType } from './protocol.ts';

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * A client that reads nothing: it asks a server to have ranges ready (`CMD_CACHE`), and reads them elsewhere. Any
 * number of questions may be open at once.
 */
export class NbdClient {
  readonly #socket: Socket;
  readonly #waiting = new Map<bigint, Waiter>();
  #next = 1n;
  #broken: ConnectionBroken | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', () => undefined); // `close` follows.
    socket.once('close', () => this.#end());
  }

  /**
   * Chooses the device without a name.
   * @param place of the socket, of any length.
   * @throws ConnectionBroken where another thing answers than a server of NBD, and the system's own error where nothing
   * does.
   */
  static async connect(place: string): Promise<NbdClient> {
    const socket = await reachSocket(place, async (path) => {
      const connecting = connect(path);
      await once(connecting, 'connect');
      return connecting;
    });
    const client = new NbdClient(socket);
    try {
      const reader = new ByteReader(socket);
      await choose(socket, reader);
      void client.#listen(reader);
      return client;
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  /**
   * Resolves when the server has the range ready.
   * @param signal ends the waiting here; the server goes on with it.
   * @throws ConnectionBroken when the connection ends before, and the signal's reason
   */
  async cache({ offset, length }: ByteRange, signal: AbortSignal): Promise<void> {
    return this.#ask(Command.cache, { offset, length }, signal);
  }

  /** Resolves when the server has answered, which shows that it is there. @throws as {@link cache} */
  async hear(signal: AbortSignal): Promise<void> {
    return this.#ask(Command.flush, { offset: 0, length: 0 }, signal);
  }

  /** Whether the server can still answer. */
  get isOpen(): boolean {
    return this.#broken === undefined && !this.#socket.destroyed;
  }

  close(): void {
    this.#socket.destroy();
  }

  async #ask(type: number, { offset, length }: ByteRange, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#broken !== undefined) throw this.#broken;
    const cookie = this.#next++;
    const header = Buffer.alloc(28);
    header.writeUInt32BE(Magic.request, 0);
    header.writeUInt16BE(type, 6);
    header.writeBigUInt64BE(cookie, 8);
    header.writeBigUInt64BE(BigInt(offset), 16);
    header.writeUInt32BE(length, 24);
    await new Promise<void>((resolve, reject) => {
      const stop = (): void => {
        this.#waiting.delete(cookie);
        reject(signal.reason as Error);
      };
      const settle = (): void => signal.removeEventListener('abort', stop);
      signal.addEventListener('abort', stop, { once: true });
      this.#waiting.set(cookie, {
        resolve: () => {
          settle();
          resolve();
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      });
      this.#socket.write(header);
    });
  }

  async #listen(reader: ByteReader): Promise<void> {
    try {
      for (;;) {
        const reply = await reader.read(16);
        if (reply.readUInt32BE(0) !== Magic.simpleReply) throw new ConnectionBroken('not a reply');
        const cookie = reply.readBigUInt64BE(8);
        const waiter = this.#waiting.get(cookie);
        this.#waiting.delete(cookie);
        const errno = reply.readUInt32BE(4);
        if (errno === 0) waiter?.resolve();
        else waiter?.reject(new ConnectionBroken(`the server answers with error ${errno}`));
      }
    } catch {
      this.#socket.destroy();
      this.#end();
    }
  }

  #end(): void {
    this.#broken ??= new ConnectionBroken('the server has gone');
    for (const { reject } of this.#waiting.values()) reject(this.#broken);
    this.#waiting.clear();
  }
}

/** The handshake, for the device without a name. */
async function choose(socket: Socket, reader: ByteReader): Promise<void> {
  const greeting = await reader.read(18);
  if (greeting.readBigUInt64BE(0) !== Magic.greeting) throw new ConnectionBroken('not a server of NBD');
  const asks = Buffer.alloc(4 + 16 + 6);
  asks.writeUInt32BE(HandshakeFlag.fixedNewstyle | HandshakeFlag.noZeroes, 0);
  asks.writeBigUInt64BE(Magic.option, 4);
  asks.writeUInt32BE(OptionType.go, 12);
  asks.writeUInt32BE(6, 16);
  asks.writeUInt16BE(InfoType.export, 24); // No details are asked for: their number is 0.
  socket.write(asks);
  for (;;) {
    const reply = await reader.read(20);
    const kind = reply.readUInt32BE(12);
    const length = reply.readUInt32BE(16);
    if (reply.readBigUInt64BE(0) !== Magic.optionReply || length > MOST_REPLY_BYTES)
      throw new ConnectionBroken('not an answer');
    await reader.skip(length);
    if (kind === OptionReply.ack) return;
    if (kind !== OptionReply.info) throw new ConnectionBroken('the server does not have the device');
  }
}

const MOST_REPLY_BYTES = 64 * 1024;
