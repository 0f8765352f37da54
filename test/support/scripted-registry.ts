import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { RegistryAddress } from '../../src/names/registry-address.ts';

/** A request as it arrived. */
export interface RecordedRequest {
  readonly method: string;
  /** Path with query, exactly as it was sent. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
  /** Which connection it came over: 1, 2 … */
  readonly connection: number;
}

/** What to answer, byte by byte where it matters. */
export interface Answer {
  /** Default 200. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** One body, or its pieces. Without a `content-length` header the exact length is announced. */
  readonly body?: string | Uint8Array | readonly (string | Uint8Array)[];
  /** `chunked`: announce no length. */
  readonly coding?: 'length' | 'chunked';
  /** What follows the body: its end, a closed or reset connection, or silence for ever. */
  readonly ending?: 'end' | 'fin' | 'rst' | 'stall';
  /** Instead of all of the above: bytes for the socket, after which it is closed. */
  readonly raw?: string | Uint8Array;
  /** Pause before each piece of the body, in milliseconds: a body that trickles. */
  readonly everyMs?: number;
  /** Instead of all of the above: an interim answer (103) so often, in milliseconds, and never a final one. */
  readonly interimMs?: number;
  /** Drops the connection without reading the request's body. */
  readonly drop?: boolean;
}

/** `count` is 1 for the first request of this route. */
export type Handler = (request: RecordedRequest, count: number) => Answer | Promise<Answer>;
/** One answer for ever, a list that must not be exceeded, or a function. */
export type Script = Answer | readonly Answer[] | Handler;

/**
 * A registry that does what a test says. Routes are named `GET /v2/a/manifests/x`, without the query, or `*` for all
 * others. A request that no route expects, and one more than a list foresees, is answered with 418 and makes
 * {@link close} throw.
 */
export class ScriptedRegistry {
  readonly requests: RecordedRequest[] = [];
  readonly #routes = new Map<string, Script>();
  readonly #counts = new Map<string, number>();
  readonly #unexpected: string[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #numbers = new WeakMap<Socket, number>();
  readonly #server: Server;
  readonly #scheme: 'http' | 'https';
  #connections = 0;
  #guard: ((request: RecordedRequest) => Answer | undefined) | undefined;
  #host = 'localhost';

  private constructor(tls: ServerOptions | undefined) {
    const listener = (request: IncomingMessage, response: ServerResponse) => {
      this.#serve(request, response).catch((error: unknown) => {
        // A client may go away in the middle of its body.
        if (!request.destroyed || request.complete)
          this.#unexpected.push(`${request.method} ${request.url}: ${String(error)}`);
        request.socket.destroy();
      });
    };
    this.#scheme = tls === undefined ? 'http' : 'https';
    this.#server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
    this.#server.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
      this.#connections += 1;
      this.#numbers.set(socket, this.#connections);
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => {});
    });
  }

  /**
   * Listens on a port of the loopback interface, a free one unless it is said which. `name`: what the address is
   * called.
   */
  static async start(
    routes: Readonly<Record<string, Script>> = {},
    options: {
      readonly tls?: ServerOptions;
      readonly listen?: string;
      readonly name?: string;
      readonly port?: number;
    } = {},
  ): Promise<ScriptedRegistry> {
    const registry = new ScriptedRegistry(options.tls);
    for (const [route, script] of Object.entries(routes)) registry.on(route, script);
    registry.#host = options.name ?? options.listen ?? '127.0.0.1';
    await new Promise<void>((resolve) => {
      registry.#server.listen(options.port ?? 0, options.listen ?? '127.0.0.1', resolve);
    });
    return registry;
  }

  /** Adds or replaces a route; its count begins anew. */
  on(route: string, script: Script): this {
    this.#routes.set(route, script);
    this.#counts.delete(route);
    return this;
  }

  /** Asked about every request first: what it answers is the answer. */
  guard(guard: (request: RecordedRequest) => Answer | undefined): this {
    this.#guard = guard;
    return this;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** `host:port` */
  get authority(): string {
    return `${this.#host.includes(':') ? `[${this.#host}]` : this.#host}:${this.port}`;
  }

  get address(): RegistryAddress {
    return RegistryAddress.parse(this.authority);
  }

  get origin(): string {
    return `${this.#scheme}://${this.authority}`;
  }

  /** Connections that are open now. */
  get openConnections(): number {
    return this.#sockets.size;
  }

  /** Connections that were ever opened. */
  get connections(): number {
    return this.#connections;
  }

  /** What was asked, as `METHOD path`. */
  get log(): string[] {
    return this.requests.map(({ method, path }) => `${method} ${path}`);
  }

  /** @throws Error when there were requests that nobody expected. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    if (this.#unexpected.length > 0) throw new Error(`unexpected requests:\n${this.#unexpected.join('\n')}`);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '';
    const route = `${request.method} ${path.replace(/\?.*$/s, '')}`;
    const script = this.#routes.get(route) ?? this.#routes.get('*');
    const count = (this.#counts.get(route) ?? 0) + 1;
    this.#counts.set(route, count);
    const dropped = typeof script === 'object' && pick(script, count)?.drop === true;
    const recorded: RecordedRequest = {
      method: request.method ?? '',
      path,
      headers: request.headers as Record<string, string | undefined>,
      body: dropped ? Buffer.alloc(0) : await bodyOf(request),
      connection: this.#numbers.get(request.socket) ?? 0,
    };
    this.requests.push(recorded);
    const guarded = this.#guard?.(recorded);
    if (guarded !== undefined) {
      this.#counts.set(route, count - 1);
      await send(guarded, response);
      return;
    }
    const answer = typeof script === 'function' ? await script(recorded, count) : pick(script, count);
    if (answer === undefined) this.#unexpected.push(`${request.method} ${path} (number ${count})`);
    await send(answer ?? { status: 418 }, response);
  }
}

function pick(script: Answer | readonly Answer[] | undefined, count: number): Answer | undefined {
  return Array.isArray(script) ? (script as readonly Answer[])[count - 1] : (script as Answer | undefined);
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

async function send(answer: Answer, response: ServerResponse): Promise<void> {
  const { socket } = response;
  if (answer.drop === true) {
    socket?.destroy();
    return;
  }
  if (answer.raw !== undefined) {
    socket?.end(answer.raw);
    return;
  }
  if (answer.interimMs !== undefined) {
    const timer = setInterval(() => response.writeEarlyHints({ link: '</a>; rel=preload' }), answer.interimMs);
    socket?.once('close', () => clearInterval(timer));
    return;
  }
  const { body = '' } = answer;
  const pieces = (Array.isArray(body) ? (body as readonly (string | Uint8Array)[]) : [body as string | Uint8Array])
    .map((piece) => (typeof piece === 'string' ? Buffer.from(piece) : piece))
    .filter((piece) => piece.length > 0);
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const hasLength = Object.keys(answer.headers ?? {}).includes('content-length');
  response.writeHead(answer.status ?? 200, {
    ...(hasLength || answer.coding === 'chunked' ? {} : { 'content-length': String(length) }),
    ...(answer.headers as Record<string, string | string[]>),
  });
  response.flushHeaders();
  for (const piece of pieces) {
    if (answer.everyMs !== undefined) await delay(answer.everyMs);
    if (socket?.destroyed !== false) return;
    await new Promise<void>((resolve) => {
      response.write(piece, () => resolve());
    });
  }
  switch (answer.ending ?? 'end') {
    case 'end':
      response.end();
      break;
    case 'fin':
      socket?.end();
      break;
    case 'rst':
      // Under TLS there is no such thing: it ends without a farewell.
      if (socket !== null && 'encrypted' in socket) socket.destroy();
      else socket?.resetAndDestroy();
      break;
    case 'stall':
      break;
  }
}
