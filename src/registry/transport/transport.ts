import { Readable } from 'node:stream';
import { setImmediate as nextRound } from 'node:timers/promises';
import type { LookupFunction } from 'node:net';
import type { Agent, Dispatcher } from 'undici';
import { TartletError } from '../../errors.ts';
import type { AddressGuard } from './connect/address-guard.ts';
import { type Clock, systemClock } from '../request/clock.ts';
import { type ConnectorOptions, registryConnector } from './connect/connector.ts';
import { type DirectWay, directWay } from './direct/direct-transport.ts';
import { answerOfProxy, type RequestTarget, requestTarget } from './connect/forward-proxy.ts';
import { loadHttpLibrary } from './http-library.ts';
import { limits as defaultLimits, type Limits } from '../request/limits.ts';
import { networkError } from '../request/network-error.ts';
import { PieceReader } from './piece-reader.ts';
import { HeadWait, type Pace } from '../request/progress.ts';
import { leaving, type RateLimit } from '../request/rate-limit.ts';
import type { RegistryRequest, RegistryResponse, Transport } from '../request/request.ts';
import { SingleUseBody } from '../request/response-body.ts';
import { IncomingHeaders } from '../request/response-headers.ts';
import { TrustStore } from './connect/trust.ts';

export interface TransportOptions {
  readonly userAgent: string;
  /** The `Via` header of every request. Default: none. */
  readonly via?: string | undefined;
  /** Proxies and certificates. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly trust?: TrustStore;
  readonly limits?: Limits;
  /** Default: the machine's own. */
  readonly clock?: Clock;
  readonly guard?: AddressGuard;
  readonly lookup?: LookupFunction;
  /** How fast bodies come and go at most. Default: as fast as they can. */
  readonly rateLimit?: RateLimit | undefined;
}

/** The layer that touches the wire, and its connections. */
export interface HttpTransport {
  readonly send: Transport;
  /** Closes connections to a place that wait for their next request, as far as they are kept here. */
  closeIdle(place: URL): void;
  /** Closes all connections; requests under way and later ones fail with `INTERRUPTED`. */
  close(): Promise<void>;
}

/**
 * HTTP/1.1 over undici, with an agent of its own: no global state, no cookies (Harbor answers a returned session cookie
 * with a CSRF error, openai/tart#295), no decoding of contents, no redirects. undici is loaded with the first request
 * that the direct way leaves to it.
 */
export function httpTransport(options: TransportOptions): HttpTransport {
  const limits = options.limits ?? defaultLimits;
  const trust = options.trust ?? new TrustStore({ environment: options.environment });
  const pace: Pace = { clock: options.clock ?? systemClock, limits, rateLimit: options.rateLimit };
  const settings = { ...options, limits, trust };
  let agent: Promise<Agent> | undefined;
  let direct: DirectWay | undefined;
  let closed = false;
  const answered = new Set<string>();

  async function sendDirectly(request: RegistryRequest, signal?: AbortSignal): Promise<RegistryResponse | undefined> {
    direct ??= directWay(settings, pace);
    try {
      return await direct.send(request, headersOf(request, options), signal);
    } catch (error) {
      throw closed ? interrupted() : error;
    }
  }

  async function once(
    dispatcher: Agent,
    request: RegistryRequest,
    target: RequestTarget,
    signal?: AbortSignal,
  ): Promise<RegistryResponse> {
    const asked = { ...asUndiciAsks(request, target, options, pace, signal), signal: signal ?? null };
    const answer = await dispatcher.request(asked);
    answered.add(request.url.origin);
    // A connection that breaks is not kept: what the next one loses is no accident of its reuse.
    answer.body.on('error', () => answered.delete(request.url.origin));
    return passOn(responseOf(answer, request.url, pace, signal), target);
  }

  const send: Transport = async (request, signal) => {
    signal?.throwIfAborted();
    if (closed) throw interrupted();
    if (request.transientChunks !== undefined) {
      const response = await sendDirectly(request, signal);
      if (response !== undefined) return response;
    }
    agent ??= createAgent(settings);
    const dispatcher = await agent;
    const target = requestTarget(request.url, options.environment);
    // A registry that has answered may close a kept connection at the moment we use it again: no fault of its own
    // (N24, N54).
    for (let mayBeStale = request.idempotent && answered.has(request.url.origin); ; mayBeStale = false) {
      try {
        return await once(dispatcher, request, target, signal);
      } catch (error) {
        signal?.throwIfAborted();
        const failure = closed ? interrupted() : networkError(error, request.url, target.proxyName);
        answered.delete(request.url.origin);
        if (failure.code !== 'NET_BROKEN' || !mayBeStale) throw failure;
      }
    }
  };
  return {
    send,
    closeIdle: (place) => direct?.closeIdle(place),
    close: async () => {
      closed = true;
      direct?.close();
      if (agent !== undefined) await (await agent).destroy();
    },
  };
}

async function createAgent(settings: ConnectorOptions): Promise<Agent> {
  const { Agent, buildConnector } = await loadHttpLibrary();
  const { limits } = settings;
  return new Agent({
    connect: registryConnector(settings, buildConnector),
    headersTimeout: limits.headersMs,
    bodyTimeout: limits.bodyIdleMs,
    maxHeaderSize: limits.responseHeaderBytes,
  });
}

/** An answer, unless it is the proxy's own: that is thrown. */
async function passOn(response: RegistryResponse, target: RequestTarget): Promise<RegistryResponse> {
  const refusal = answerOfProxy(response, target);
  if (refusal === undefined) return response;
  await response.body.discard();
  throw refusal;
}

/** Final: a closed client is not asked again. */
function interrupted(): TartletError {
  return new TartletError('INTERRUPTED', 'the connections to the registry were closed', { retryable: false });
}

function asUndiciAsks(
  request: RegistryRequest,
  target: RequestTarget,
  names: Pick<TransportOptions, 'userAgent' | 'via'>,
  pace: Pace,
  signal: AbortSignal | undefined,
): Dispatcher.RequestOptions {
  const { url, method } = request;
  const wait = new HeadWait(url, pace);
  return {
    origin: url.origin,
    path: target.path,
    method,
    headers: { ...headersOf(request, names), ...target.headers },
    body: bodyOf(request, wait, pace.rateLimit, signal),
    onInfo: () => wait.interim(),
  };
}

function headersOf(
  request: RegistryRequest,
  { userAgent, via }: Pick<TransportOptions, 'userAgent' | 'via'>,
): Record<string, string> {
  return {
    ...request.headers,
    'user-agent': userAgent,
    ...(via === undefined ? {} : { via }),
    'accept-encoding': 'identity',
    ...(request.body === undefined ? {} : { 'content-length': String(request.body.length) }),
  };
}

function bodyOf(
  { body }: RegistryRequest,
  wait: HeadWait,
  limit: RateLimit | undefined,
  signal: AbortSignal | undefined,
): Uint8Array | Readable | null {
  if (body === undefined) return null;
  const opened = body.open();
  // What is at hand as a whole is a manifest: so few bytes are not worth a wait.
  if (opened instanceof Uint8Array) return opened;
  const pieces = limit === undefined ? opened : leaving(opened, limit, signal);
  return Readable.from(noticed(pieces, wait), { objectMode: false });
}

async function* noticed(pieces: AsyncIterable<Uint8Array>, wait: HeadWait): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    wait.sent();
    yield piece;
  }
  wait.sent();
}

function responseOf(answer: Dispatcher.ResponseData, url: URL, pace: Pace, signal?: AbortSignal): RegistryResponse {
  const { body } = answer;
  // A connection may break while its body is not being read. The reader, if there ever is one, still gets the error.
  body.on('error', () => {});
  return {
    status: answer.statusCode,
    headers: new IncomingHeaders(answer.headers),
    url,
    crossOrigin: false,
    body: new IncomingBody(body, url, pace, signal),
  };
}

class IncomingBody extends SingleUseBody {
  readonly #body: Dispatcher.ResponseData['body'];
  readonly #url: URL;
  readonly #limits: Limits;
  readonly #signal: AbortSignal | undefined;

  constructor(body: Dispatcher.ResponseData['body'], url: URL, pace: Pace, signal: AbortSignal | undefined) {
    super(url, pace, signal);
    this.#body = body;
    this.#url = url;
    this.#limits = pace.limits;
    this.#signal = signal;
  }

  protected override pieces(): AsyncIterator<Uint8Array> {
    const pieces = new PieceReader(this.#body);
    const explain = (error: unknown): never => {
      this.#signal?.throwIfAborted();
      throw networkError(error, this.#url);
    };
    return { next: () => pieces.next().catch(explain), return: () => pieces.return() };
  }

  protected override async drain(): Promise<void> {
    const signal = AbortSignal.timeout(this.#limits.drainMs);
    // The rest of the body is not needed, whatever it holds.
    await this.#body.dump({ limit: this.#limits.drainBytes, signal }).catch(() => {});
    // undici notices in the next round of the event loop that the connection is free; asked earlier, it opens another
    // one.
    await nextRound();
  }

  protected override close(): void {
    this.#body.destroy();
  }
}
