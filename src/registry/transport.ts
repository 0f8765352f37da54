import { Readable } from 'node:stream';
import type { LookupFunction } from 'node:net';
import type { Agent, Dispatcher } from 'undici';
import { registryConnector } from './connector.ts';
import { limits as defaultLimits, type Limits } from './limits.ts';
import { networkError } from './network-error.ts';
import type { RegistryRequest, RegistryResponse, ResponseBody, ResponseHeaders, Transport } from './request.ts';
import { TrustStore } from './trust.ts';

export interface TransportOptions {
  readonly userAgent: string;
  /** Proxies and certificates. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly trust?: TrustStore;
  readonly limits?: Limits;
  readonly lookup?: LookupFunction;
}

/** The layer that touches the wire, and its connections. */
export interface HttpTransport {
  readonly send: Transport;
  /** Closes all connections; requests under way fail with `NET_BROKEN`. */
  close(): Promise<void>;
}

/**
 * HTTP/1.1 over undici, with an agent of its own: no global state, no cookies (Harbor answers a returned session cookie with a CSRF
 * error, openai/tart#295), no decoding of contents, no redirects. undici is loaded with the first request, because that costs 130 ms.
 */
export function httpTransport(options: TransportOptions): HttpTransport {
  const limits = options.limits ?? defaultLimits;
  const trust = options.trust ?? new TrustStore({ environment: options.environment });
  let agent: Promise<Agent> | undefined;

  async function createAgent(): Promise<Agent> {
    const undici = await import('undici');
    return new undici.Agent({
      connect: registryConnector({ ...options, limits, trust }, undici.buildConnector),
      headersTimeout: limits.headersMs,
      bodyTimeout: limits.bodyIdleMs,
      maxHeaderSize: limits.responseHeaderBytes,
    });
  }

  const send: Transport = async (request, signal) => {
    signal?.throwIfAborted();
    agent ??= createAgent();
    const dispatcher = await agent;
    try {
      const answer = await dispatcher.request({
        origin: request.url.origin,
        path: request.url.pathname + request.url.search,
        method: request.method,
        headers: headersOf(request, options.userAgent),
        body: bodyOf(request),
        signal: signal ?? null,
      });
      return responseOf(answer, request.url, limits, signal);
    } catch (error) {
      signal?.throwIfAborted();
      throw networkError(error, request.url);
    }
  };
  return {
    send,
    close: async () => {
      if (agent !== undefined) await (await agent).destroy();
    },
  };
}

function headersOf(request: RegistryRequest, userAgent: string): Record<string, string> {
  return {
    ...request.headers,
    'user-agent': userAgent,
    'accept-encoding': 'identity',
    ...(request.body === undefined ? {} : { 'content-length': String(request.body.length) }),
  };
}

function bodyOf({ body }: RegistryRequest): Uint8Array | Readable | null {
  if (body === undefined) return null;
  const opened = body.open();
  return opened instanceof Uint8Array ? opened : Readable.from(opened, { objectMode: false });
}

function responseOf(answer: Dispatcher.ResponseData, url: URL, limits: Limits, signal?: AbortSignal): RegistryResponse {
  const { body } = answer;
  // A connection may break while nobody reads. The reader, if there ever is one, still gets the error.
  body.on('error', () => {});
  return {
    status: answer.statusCode,
    headers: new IncomingHeaders(answer.headers),
    url,
    foreign: false,
    body: new IncomingBody(body, url, limits.drainBytes, signal),
  };
}

class IncomingHeaders implements ResponseHeaders {
  readonly #headers: Readonly<Record<string, string | string[] | undefined>>;

  constructor(headers: Readonly<Record<string, string | string[] | undefined>>) {
    this.#headers = headers;
  }

  get(name: string): string | undefined {
    const lines = this.all(name);
    return lines.length === 0 ? undefined : lines.join(', ');
  }

  all(name: string): readonly string[] {
    const value = this.#headers[name];
    return value === undefined ? [] : Array.isArray(value) ? value : [value];
  }
}

class IncomingBody implements ResponseBody {
  readonly #body: Dispatcher.ResponseData['body'];
  readonly #url: URL;
  readonly #drainBytes: number;
  readonly #signal: AbortSignal | undefined;

  constructor(body: Dispatcher.ResponseData['body'], url: URL, drainBytes: number, signal: AbortSignal | undefined) {
    this.#body = body;
    this.#url = url;
    this.#drainBytes = drainBytes;
    this.#signal = signal;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for await (const piece of this.#body) yield piece as Uint8Array;
    } catch (error) {
      this.#signal?.throwIfAborted();
      throw networkError(error, this.#url);
    }
  }

  discard(): void {
    this.#body.dump({ limit: this.#drainBytes }).catch(() => {});
  }

  destroy(): void {
    this.#body.destroy();
  }
}
