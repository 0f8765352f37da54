import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  constants,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
} from 'node:http2';
import { connect } from 'node:net';
import { describeError } from '../errors.ts';
import { frame, messagesOf } from './message.ts';
import { RpcFailure, RpcStatus } from './status.ts';

/*
 * Calls by gRPC over a socket of this machine (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md). Written out, because the
 * library for it brings 32 others, one of which runs a script when it is installed: calls are streams of HTTP/2, which
 * Node has.
 */

/** What the other side says last, in characters. */
const MAX_REASON = 500;

/** A connection on which calls can be made. */
export class RpcConnection {
  readonly #session: ClientHttp2Session;

  private constructor(session: ClientHttp2Session) {
    this.#session = session;
  }

  /**
   * @param path of the socket. @param withinMs how long the other side may take to answer, in milliseconds.
   * @throws the system's own error when nothing listens or it is not allowed; RpcFailure `unavailable` for silence, or
   * another protocol.
   */
  static async connect(path: string, withinMs: number): Promise<RpcConnection> {
    const socket = connect({ path });
    const session = connectHttp2('http://localhost', { createConnection: () => socket });
    session.on('error', () => undefined);
    let deadline: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        deadline = setTimeout(() => reject(unavailable('nothing answers')), withinMs);
        session.once('remoteSettings', () => resolve());
        let fails = (cause: unknown): void => reject(cause);
        socket.once('connect', () => (fails = (cause) => reject(unavailable(describeError(cause), cause))));
        for (const each of [socket, session]) each.once('error', (cause) => fails(cause));
        session.once('close', () => reject(unavailable('the connection was closed')));
      });
    } catch (error) {
      session.destroy();
      throw error;
    } finally {
      clearTimeout(deadline);
    }
    return new RpcConnection(session);
  }

  /** Begins a call. @param method its path, e.g. `/Service/Method`. */
  call(method: string): RpcCall {
    return new RpcCall(
      this.#session.request({
        ':method': 'POST',
        ':path': method,
        te: 'trailers',
        'content-type': 'application/grpc',
      }),
    );
  }

  /** Ends whatever is under way. */
  close(): void {
    this.#session.destroy();
  }
}

/** A call under way: messages go both ways. */
export class RpcCall {
  readonly #stream: ClientHttp2Stream;
  #head: (IncomingHttpHeaders & IncomingHttpStatusHeader) | undefined;
  #trailers: IncomingHttpHeaders | undefined;

  constructor(stream: ClientHttp2Stream) {
    this.#stream = stream;
    stream.on('error', () => undefined); // The reader gets the error.
    stream.once('response', (headers) => (this.#head = headers));
    stream.once('trailers', (headers: IncomingHttpHeaders) => {
      this.#trailers = headers;
    });
  }

  /**
   * Sends a message, and waits until it is on its way: the sender waits for the reader. What comes too late is dropped.
   */
  async write(message: Uint8Array): Promise<void> {
    if (this.#stream.writable)
      await new Promise<void>((resolve) => this.#stream.write(frame(message), () => resolve()));
  }

  /** Says that there are no more messages. */
  end(): void {
    this.#stream.end();
  }

  /** What the other side says, until it has said that all is well. @throws RpcFailure */
  async *messages(): AsyncGenerator<Buffer, void, undefined> {
    try {
      for await (const message of messagesOf(this.#stream as AsyncIterable<Uint8Array>)) {
        this.#requireGrpc();
        yield message;
      }
    } catch (error) {
      // What is not gRPC at all reads as anything.
      if (this.#head !== undefined) this.#requireGrpc();
      throw error instanceof RpcFailure ? error : broken(error);
    }
    this.#requireGrpc();
    this.#requireOk(this.#trailers?.['grpc-status'] === undefined ? this.#head : this.#trailers);
  }

  #requireGrpc(): void {
    const { ':status': status, 'content-type': type } = this.#head ?? {};
    if (this.#head === undefined) throw broken();
    if (status === 200 && type?.startsWith('application/grpc') === true) return;
    throw new RpcFailure(RpcStatus.unknown, `the answer is not gRPC, but HTTP ${status ?? ''} ${type ?? ''}`.trimEnd());
  }

  #requireOk(headers: IncomingHttpHeaders = {}): void {
    const { 'grpc-status': status, 'grpc-message': reason } = headers;
    if (status === '0') return;
    if (typeof status !== 'string') throw new RpcFailure(RpcStatus.unknown, 'the call ended without saying how');
    throw new RpcFailure(Number.parseInt(status, 10), reasonOf(reason) ?? `the call ended with status ${status}`);
  }

  cancel(): void {
    this.#stream.close(constants.NGHTTP2_CANCEL);
  }
}

/** Percent-encoded UTF-8 (PROTOCOL-HTTP2.md, Status-Message); what is not is shown as it came. */
function reasonOf(text: string | string[] | undefined): string | undefined {
  if (typeof text !== 'string' || text === '') return undefined;
  const cut = text.slice(0, MAX_REASON);
  try {
    return decodeURIComponent(cut);
  } catch {
    return cut;
  }
}

function broken(cause?: unknown): RpcFailure {
  return new RpcFailure(RpcStatus.aborted, 'the connection to it broke', cause);
}

function unavailable(message: string, cause?: unknown): RpcFailure {
  return new RpcFailure(RpcStatus.unavailable, message, cause);
}
