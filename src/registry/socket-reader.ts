import { connect as connectTcp, isIP, type Socket, type TcpNetConnectOpts } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { buildConnector } from 'undici';
import { TartletError } from '../errors.ts';

/** Memory for one read; a few of them are filled before the connection is told to pause. */
const PIECE_BYTES = 256 * 1024;
const WAITING = 2;

/** The library's own codes: the messages for them are in `network-error.ts`. */
type TimeoutCode = 'UND_ERR_CONNECT_TIMEOUT' | 'UND_ERR_HEADERS_TIMEOUT' | 'UND_ERR_BODY_TIMEOUT';

function coded(code: TimeoutCode | 'UND_ERR_SOCKET', message: string): Error {
  return Object.assign(new Error(message), { code });
}

/**
 * What arrives on a connection, in memory that is used again and again: the system writes straight into it. Every other way that Node
 * offers makes a buffer for each 64 KiB, which costs more than all the rest of the transport (performance.md §3).
 */
export class SocketReader {
  /** Waiting to be read, oldest first. */
  readonly #arrived: Uint8Array[] = [];
  readonly #idle: Uint8Array[] = [];
  /** What the reader has in its hands. */
  #lent: Uint8Array | undefined;
  #socket: Socket | undefined;
  #end: { readonly error: Error } | undefined;
  #wake: (() => void) | undefined;
  #received = 0;

  /** The option for `connect` of `node:net` and `node:tls`. The memory of a read is chosen before it: never what somebody still holds. */
  readonly onread = {
    buffer: (): Uint8Array => this.#idle.pop() ?? Buffer.allocUnsafeSlow(PIECE_BYTES),
    callback: (length: number, memory: Uint8Array): boolean => {
      this.#received += length;
      this.#arrived.push(memory.subarray(0, length));
      this.#wake?.();
      // TLS hands out what it has decoded already even after this: then there is more memory for a while.
      return this.#arrived.length < WAITING;
    },
  };

  attach(socket: Socket): void {
    this.#socket = socket;
    const end = (error: Error): void => {
      this.#end ??= { error };
      this.#wake?.();
    };
    socket.on('error', end);
    socket.on('end', () => end(coded('UND_ERR_SOCKET', 'other side closed')));
    socket.on('close', () => end(coded('UND_ERR_SOCKET', 'other side closed')));
  }

  /** Bytes that ever arrived. */
  get received(): number {
    return this.#received;
  }

  /** Whether nothing arrived that nobody has read, and more may come. */
  get isQuiet(): boolean {
    return this.#end === undefined && this.#arrived.length === 0;
  }

  /** Ends the connection, because nothing came for too long. */
  giveUp(code: TimeoutCode): void {
    this.#end ??= { error: coded(code, 'nothing arrived') };
    this.#socket?.destroy();
    this.#wake?.();
  }

  /**
   * What arrived next. It is valid until the next call.
   * @throws the error of the socket, after its orderly end one with the code `UND_ERR_SOCKET`, and that of {@link giveUp}.
   */
  async read(): Promise<Uint8Array> {
    if (this.#lent !== undefined) this.#idle.push(whole(this.#lent));
    this.#lent = undefined;
    if (this.#arrived.length === 0 && this.#end === undefined) {
      this.#socket?.resume();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    this.#lent = this.#arrived.shift();
    if (this.#lent !== undefined) return this.#lent;
    throw this.#end?.error ?? coded('UND_ERR_SOCKET', 'nothing arrived');
  }
}

/** All of the memory that `piece` is the beginning of. */
function whole(piece: Uint8Array): Uint8Array {
  return new Uint8Array(piece.buffer);
}

const readers = new WeakMap<Socket, SocketReader>();

/** The reader of a connection that {@link buildReadingConnector} made. */
export function readerOf(socket: Socket): SocketReader {
  const reader = readers.get(socket);
  if (reader === undefined) throw new TartletError('INTERNAL', 'the connection was made by somebody else');
  return reader;
}

/** Makes connections as undici's `buildConnector` does, each with a {@link SocketReader}. Not for tunnels: those exist already. */
export function buildReadingConnector(how: buildConnector.BuildOptions = {}): buildConnector.connector {
  const { timeout, ...rest } = how;
  return (request, callback) => {
    const reader = new SocketReader();
    const secure = request.protocol === 'https:';
    const host = request.hostname.replace(/^\[|\]$/g, '');
    const port = request.port === '' ? (secure ? 443 : 80) : Number(request.port);
    const options = { ...rest, host, port, onread: reader.onread } as TcpNetConnectOpts;
    const named = isIP(host) === 0 ? { servername: host } : {};
    const socket = secure ? connectTls({ ...options, ...named, ALPNProtocols: ['http/1.1'] }) : connectTcp(options);
    socket.setNoDelay(true);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      callback(error, null);
    };
    const timer = setTimeout(
      () => socket.destroy(coded('UND_ERR_CONNECT_TIMEOUT', 'no connection in time')),
      timeout ?? 10_000,
    );
    socket.once('error', fail);
    socket.once(secure ? 'secureConnect' : 'connect', () => {
      clearTimeout(timer);
      socket.off('error', fail);
      reader.attach(socket);
      readers.set(socket, reader);
      callback(null, socket);
    });
  };
}
