/*
 * More than 250 lines, because what a connection may be in is decided in one class, step by step.
 */
import type { Socket } from 'node:net';
import { type ConnectorOptions, registryConnector } from '../connect/connector.ts';
import { DirectConnection } from './direct-connection.ts';
import { answerOfProxy, type RequestTarget, requestTarget } from '../connect/forward-proxy.ts';
import { networkError } from '../../request/network-error.ts';
import type { Pace } from '../../request/progress.ts';
import { proxyFor } from '../connect/proxy.ts';
import type { RegistryRequest, RegistryResponse } from '../../request/request.ts';
import { SingleUseBody } from '../../request/response-body.ts';
import type { ResponseHead } from './response-head.ts';
import { IncomingHeaders } from '../../request/response-headers.ts';
import { readingConnector } from './socket-reader.ts';

/** How long a connection waits for its next request; undici's own default. */
const IDLE_MS = 4_000;

/** Statuses whose bodies are what was asked for, or a part of it. All others are short texts. */
const CONTENT = new Set([200, 206]);

/** A second way for requests, beside the HTTP library. Nothing else of this directory is for others. */
export interface DirectWay {
  /**
   * Asks on a connection of its own, when nothing about request and answer is left to interpretation.
   * @param headers all that go with the request, names in lower case.
   * @returns undefined when the request is for the library: nothing of an answer was given away then, and it may be
   * sent again. The pieces of a blob's body are valid until the next is asked for.
   * @throws TartletError as the way through the library does.
   */
  send(
    request: RegistryRequest,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal | undefined,
  ): Promise<RegistryResponse | undefined>;
  /** Closes the connections to a place that wait for their next request. */
  closeIdle(place: URL): void;
  /** Closes its connections; requests under way fail. */
  close(): void;
}

/** Costs nothing: the first request makes the first connection. */
export function directWay(options: ConnectorOptions, pace: Pace): DirectWay {
  return new DirectTransport(options, pace);
}

/**
 * GET requests whose bodies are read from the socket straight into memory that is used again: for blobs, where nearly
 * all bytes are, and for manifests, so that a pull need not load the library (V8 alone spent 0.2 s of a processor on
 * optimizing its parser for one manifest). Connections are made by the very rules of the library's (`connector.ts`). It
 * answers only where nothing is left to interpretation; for every other answer, and through tunnels, it gives up, and
 * the same request goes through the library.
 */
class DirectTransport implements DirectWay {
  readonly #options: ConnectorOptions;
  readonly #pace: Pace;
  readonly #connect: ReturnType<typeof registryConnector>;
  readonly #idle = new Map<string, DirectConnection[]>();
  readonly #open = new Set<DirectConnection>();
  /**
   * What servers answer in other ways, e.g. `https://host blob`: asking twice each time would be worse than the
   * library.
   */
  readonly #unusual = new Set<string>();
  #closed = false;

  constructor(options: ConnectorOptions, pace: Pace) {
    this.#options = options;
    this.#pace = pace;
    this.#connect = registryConnector(options, readingConnector(pace.rateLimit?.pieceBytes));
  }

  /** See {@link DirectWay}. */
  async send(
    request: RegistryRequest,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal | undefined,
  ): Promise<RegistryResponse | undefined> {
    const { url } = request;
    const what = `${url.origin} ${request.transientChunks ?? ''}`;
    const { environment } = this.#options;
    const isTunnelled = url.protocol === 'https:' && proxyFor(url, environment) !== undefined;
    if (this.#unusual.has(what) || isTunnelled) return undefined;
    const target = requestTarget(url, environment);
    const text = requestText(request, target, headers);
    if (text === undefined) return undefined;
    for (let reused = this.#takeIdle(url.origin); ; reused = undefined) {
      const connection = reused ?? (await this.#dial(url, signal));
      const before = connection.received;
      try {
        const head = await connection.ask(text, signal);
        if (head !== undefined) {
          const response = this.#response(connection, head, url, signal);
          const refusal = answerOfProxy(response, target);
          if (refusal === undefined) return response;
          throw refusal;
        }
        connection.close();
        this.#unusual.add(what);
        return undefined;
      } catch (error) {
        connection.close();
        signal?.throwIfAborted();
        // It was closed while it waited, before it could hear of this request.
        if (reused !== undefined && connection.received === before) continue;
        throw networkError(error, url, target.proxyName);
      }
    }
  }

  /** See {@link DirectWay}. */
  closeIdle({ origin }: URL): void {
    for (const connection of this.#idle.get(origin) ?? []) connection.close();
    this.#idle.delete(origin);
  }

  close(): void {
    this.#closed = true;
    for (const connection of this.#open) connection.close();
  }

  #takeIdle(origin: string): DirectConnection | undefined {
    const waiting = this.#idle.get(origin) ?? [];
    for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) if (one.reuse()) return one;
    return undefined;
  }

  async #dial(url: URL, signal: AbortSignal | undefined): Promise<DirectConnection> {
    const socket = await new Promise<Socket>((resolve, reject) => {
      const { host, hostname, port, protocol } = url;
      const stop = (): void => reject(signal?.reason as Error);
      signal?.addEventListener('abort', stop, { once: true });
      this.#connect({ host, hostname, port, protocol }, (...[error, made]) => {
        signal?.removeEventListener('abort', stop);
        if (error !== null || made === null) reject(networkError(error, url));
        else resolve(made);
        // The caller does not wait for it any more.
        if (signal?.aborted === true || this.#closed) made?.destroy();
      });
    });
    const connection = new DirectConnection(socket, this.#options.limits);
    this.#open.add(connection);
    socket.once('close', () => this.#open.delete(connection));
    return connection;
  }

  #response(
    connection: DirectConnection,
    head: ResponseHead,
    url: URL,
    signal: AbortSignal | undefined,
  ): RegistryResponse {
    const done = (): void => {
      if (!head.keepsAlive || !connection.release(IDLE_MS)) {
        connection.close();
        return;
      }
      const waiting = this.#idle.get(url.origin) ?? [];
      this.#idle.set(url.origin, [...waiting, connection]);
    };
    return {
      status: head.status,
      headers: new IncomingHeaders(head.headers),
      url,
      crossOrigin: false,
      body: new DirectBody(connection, head, { url, pace: this.#pace, signal, done }),
    };
  }
}

interface DirectBodyOptions {
  readonly url: URL;
  readonly pace: Pace;
  readonly signal: AbortSignal | undefined;
  /** Told once that the connection is free. */
  readonly done: () => void;
}

class DirectBody extends SingleUseBody {
  readonly #connection: DirectConnection;
  readonly #url: URL;
  readonly #signal: AbortSignal | undefined;
  readonly #done: () => void;
  readonly #isContent: boolean;
  #left: number;
  /** Whether the connection is nothing of ours any more. */
  #isOver = false;

  constructor(connection: DirectConnection, head: ResponseHead, { url, pace, signal, done }: DirectBodyOptions) {
    super(url, pace, signal);
    this.#connection = connection;
    this.#url = url;
    this.#signal = signal;
    this.#done = done;
    this.#isContent = CONTENT.has(head.status);
    this.#left = head.length;
  }

  protected override async *pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      while (this.#left > 0) {
        const piece = await this.#read();
        // The reader of a text collects its pieces: they get memory of their own.
        yield this.#isContent ? piece : Uint8Array.from(piece);
      }
    } finally {
      this.#release();
    }
  }

  async #read(): Promise<Uint8Array> {
    try {
      const piece = await this.#connection.read();
      const wanted = piece.subarray(0, this.#left);
      this.#left -= wanted.length;
      // Whatever follows the body belongs to nothing that was asked for.
      if (wanted.length < piece.length) this.#connection.close();
      return wanted;
    } catch (error) {
      this.#signal?.throwIfAborted();
      throw networkError(error, this.#url);
    }
  }

  protected override async drain(): Promise<void> {
    const { drainBytes, drainMs } = this.#connection.limits;
    const timer = setTimeout(() => this.close(), drainMs);
    try {
      if (this.#left <= drainBytes) while (this.#left > 0) await this.#read();
    } catch {
      // The rest of the body is not needed.
    } finally {
      clearTimeout(timer);
      this.#release();
    }
  }

  protected override close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#connection.close();
  }

  /**
   * The connection serves the next request if nothing is left of this answer. Once: it may be another answer's
   * afterwards.
   */
  #release(): void {
    if (this.#left > 0) this.close();
    if (this.#isOver) return;
    this.#isOver = true;
    this.#done();
  }
}

/** The head of a request; undefined when a header holds what must not stand in one. */
function requestText(
  { url, body }: RegistryRequest,
  target: RequestTarget,
  headers: Readonly<Record<string, string>>,
): string | undefined {
  const lines = Object.entries({ host: url.host, connection: 'keep-alive', ...headers, ...target.headers });
  const isPlain = lines.every(([name, value]) => /^[a-z0-9-]+$/.test(name) && /^[\t\x20-\x7e]*$/.test(value));
  if (!isPlain || body !== undefined) return undefined;
  const head = [`GET ${target.path} HTTP/1.1`, ...lines.map(([name, value]) => `${name}: ${value}`)];
  return `${head.join('\r\n')}\r\n\r\n`;
}
