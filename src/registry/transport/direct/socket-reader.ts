import { connect as connectTcp, isIP, type Socket, type TcpNetConnectOpts } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { buildConnector } from 'undici';
import { TartletError } from '../../../errors.ts';

/**
 * Memory that reads fill one behind the other. What is read at once passes through all layers at once, and V8 optimizes
 * each of them later or never: with 256 KiB a pull of 2 GiB took a tenth longer.
 */
const MEMORY_BYTES = 1024 * 1024;

/** Reads go on in the same memory while there is room for so much. */
const LEAST_ROOM_BYTES = 256 * 1024;

/** Pieces that wait for a slow reader before the connection is told to pause. */
const WAITING = 2;

/** Smaller pieces wait for those that come in the same round of the event loop: TLS hands out 16 KiB at a time. */
const LARGE_BYTES = 64 * 1024;

/** The library's own codes: the messages for them are in `network-error.ts`. */
type TimeoutCode = 'UND_ERR_CONNECT_TIMEOUT' | 'UND_ERR_HEADERS_TIMEOUT' | 'UND_ERR_BODY_TIMEOUT';

function coded(code: TimeoutCode | 'UND_ERR_SOCKET', message: string): Error {
  return Object.assign(new Error(message), { code });
}

/**
 * What arrives on a connection, in memory that is used again and again: the system writes straight into it. Every other
 * way that Node offers makes a buffer for each 64 KiB, which costs more than all the rest of the transport
 * (performance.md §3).
 */
export class SocketReader {
  /** Waiting to be read, oldest first. */
  readonly #arrived: Uint8Array[] = [];
  readonly #idle: Uint8Array[] = [];
  /** Where the next bytes go: the rest of the memory that is being filled. */
  #room: Uint8Array | undefined;
  /** What the reader has in its hands. */
  #lent: Uint8Array | undefined;
  #socket: Socket | undefined;
  #end: { readonly error: Error } | undefined;
  #wake: (() => void) | undefined;
  #wakesSoon = false;
  #received = 0;
  readonly #pieceBytes: number;

  /** @param pieceBytes most that is read at once, and that waits for a slow reader. */
  constructor(pieceBytes = MEMORY_BYTES) {
    this.#pieceBytes = pieceBytes;
  }

  /**
   * The option for `connect` of `node:net` and `node:tls`. The memory of a read is chosen before it: never memory that
   * a reader still holds.
   */
  readonly onread = {
    buffer: (): Uint8Array => {
      if (this.#room === undefined || this.#room.length < LEAST_ROOM_BYTES) {
        this.#room = this.#idle.pop() ?? Buffer.allocUnsafeSlow(MEMORY_BYTES);
      }
      return this.#room.subarray(0, this.#pieceBytes);
    },
    callback: (length: number, memory: Uint8Array): boolean => {
      this.#received += length;
      this.#room = this.#room?.subarray(length);
      this.#append(memory.subarray(0, length));
      if (length >= LARGE_BYTES) this.#wake?.();
      else this.#wakeSoon();
      // TLS hands out what it has decoded already even after this: then there is more memory for a while.
      return this.#arrived.length < WAITING && (this.#arrived[0]?.length ?? 0) < this.#pieceBytes;
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

  /** Whether everything that arrived was read, and more may come. */
  get isQuiet(): boolean {
    return this.#end === undefined && this.#arrived.length === 0;
  }

  /** Ends the connection, because nothing came for too long. */
  abort(code: TimeoutCode): void {
    this.#end ??= { error: coded(code, 'nothing arrived') };
    this.#socket?.destroy();
    this.#wake?.();
  }

  /**
   * What arrived next. It is valid until the next call.
   * @throws the error of the socket, after its orderly end one with the code `UND_ERR_SOCKET`, and that of
   * {@link abort}.
   */
  async read(): Promise<Uint8Array> {
    this.#takeBack();
    // More than once, when what it is woken for was taken before.
    while (this.#arrived.length === 0 && this.#end === undefined) {
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

  /** What follows the last piece in its memory becomes a part of it. */
  #append(piece: Uint8Array): void {
    const last = this.#arrived.at(-1);
    if (last?.buffer === piece.buffer && last.byteOffset + last.length === piece.byteOffset) {
      this.#arrived[this.#arrived.length - 1] = new Uint8Array(
        last.buffer,
        last.byteOffset,
        last.length + piece.length,
      );
    } else {
      this.#arrived.push(piece);
    }
  }

  /** The memory of the piece that was lent may be used again, unless there is more in it or more will come. */
  #takeBack(): void {
    const memory = this.#lent?.buffer;
    this.#lent = undefined;
    if (memory === undefined || memory === this.#room?.buffer || memory === this.#arrived[0]?.buffer) return;
    this.#idle.push(new Uint8Array(memory));
  }

  #wakeSoon(): void {
    if (this.#wakesSoon) return;
    this.#wakesSoon = true;
    setImmediate(() => {
      this.#wakesSoon = false;
      this.#wake?.();
    });
  }
}

const readers = new WeakMap<Socket, SocketReader>();

/** The reader of a connection that {@link readingConnector} made. */
export function readerOf(socket: Socket): SocketReader {
  const reader = readers.get(socket);
  if (reader === undefined) throw new TartletError('INTERNAL', 'the connection was not made by this client');
  return reader;
}

/**
 * What makes connections as undici's `buildConnector` does, each with a {@link SocketReader}. Not for tunnels: those
 * exist already.
 * @param pieceBytes most that is read at once, and that waits for a slow reader. Default: all the memory there is.
 */
export function readingConnector(pieceBytes = MEMORY_BYTES): typeof buildConnector {
  return (how) => buildReadingConnector(pieceBytes, how);
}

function buildReadingConnector(pieceBytes: number, how: buildConnector.BuildOptions = {}): buildConnector.connector {
  const { timeout, ...rest } = how;
  return (request, callback) => {
    const reader = new SocketReader(pieceBytes);
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
