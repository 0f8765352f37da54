import { createServer, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { describeError, TartletError } from '../errors.ts';
import { frame, messagesOf } from './message.ts';
import { RpcFailure, RpcStatus } from './status.ts';

/** A call that is served. */
export interface ServedCall {
  /** What is asked, one at a time. @throws RpcFailure for what is no message */
  readonly messages: AsyncGenerator<Buffer, void, undefined>;
  /** Answers, and waits until that is on its way. What comes too late is dropped. */
  send(message: Uint8Array): Promise<void>;
  /** Aborted when the other side has gone. */
  readonly signal: AbortSignal;
}

/**
 * Serves one method: the call ends when it does. What it throws is told to the other side: RpcFailure with its status,
 * all else as `internal`.
 */
export type RpcMethod = (call: ServedCall) => Promise<void>;

/** So many calls at once on one connection. */
const MAX_CALLS = 100;

/** Serves calls by gRPC on connections that it is given (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md). */
export class RpcServer {
  readonly #server: Http2Server;

  /** @param methods by their paths, e.g. `/Service/Method`. */
  constructor(methods: Readonly<Record<string, RpcMethod>>) {
    this.#server = createServer({ settings: { maxConcurrentStreams: MAX_CALLS } });
    this.#server.on('stream', (stream, headers) => {
      stream.on('error', () => undefined); // A client that went away needs no answer.
      void serve(stream, headers, methods);
    });
    this.#server.on('sessionError', () => undefined);
  }

  take(socket: Socket): void {
    this.#server.emit('connection', socket);
  }
}

async function serve(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  methods: Readonly<Record<string, RpcMethod>>,
): Promise<void> {
  if (headers['content-type']?.startsWith('application/grpc') !== true) {
    stream.respond({ ':status': 415 }, { endStream: true });
    return;
  }
  const gone = new AbortController();
  stream.once('close', () => gone.abort());
  let ending: readonly [status: number, reason: string] = [RpcStatus.ok, ''];
  stream.once('wantTrailers', () => {
    stream.sendTrailers({ 'grpc-status': String(ending[0]), 'grpc-message': encodeURIComponent(ending[1]) });
  });
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  try {
    const path = headers[':path'] ?? '';
    const method = Object.hasOwn(methods, path) ? methods[path] : undefined;
    if (method === undefined) throw new RpcFailure(RpcStatus.unimplemented, 'there is no such method');
    await method({
      // Not by the stream itself, which a reader that has seen enough would destroy.
      messages: messagesOf(stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>),
      send: async (message) => {
        if (stream.writable) await new Promise<void>((resolve) => stream.write(frame(message), () => resolve()));
      },
      signal: gone.signal,
    });
  } catch (error) {
    ending = [error instanceof RpcFailure ? error.rpcStatus : RpcStatus.internal, reasonOf(error)];
  }
  if (stream.destroyed) return;
  stream.end();
  // What is still said is not heard, and must not hold up what else is said on this connection.
  stream.resume();
}

/** Of our own errors only: others may tell what is not for everyone. */
function reasonOf(error: unknown): string {
  return error instanceof TartletError ? describeError(error) : 'it did not work';
}
