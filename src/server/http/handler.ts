import { setTimeout as delay } from 'node:timers/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { describeError, unreachable } from '../../errors.ts';
import { diskCode } from '../../fs/disk-error.ts';
import { type Access, anonymousAccess, type Authenticator, type RequiredAccess } from '../access/access.ts';
import { needOf } from './need.ts';
import { Observations } from '../metrics/observations.ts';
import { ObservedRequest, pathOf } from './observed-request.ts';
import type { RegistryEvent } from '../settings/event.ts';
import { clientOf } from '../access/client-address.ts';
import { ClientQueue } from './client-queue.ts';
import { DocumentMemory } from './document-memory.ts';
import { answerRoute } from './dispatch.ts';
import { Exchange, type Expectation, hasUnreadBody } from './exchange.ts';
import type { ServedContent } from '../contract/served-content.ts';
import { ClientAborted } from '../contract/request-body.ts';
import { refuseAmbiguous } from './framing-check.ts';
import { checkHostHeader } from './host-check.ts';
import type { Settings } from '../settings/options.ts';
import { Refusal, storageFull } from '../contract/refusal.ts';
import { Pages } from '../page/pages.ts';
import { isBesideApi, refusalBody } from './page-handler.ts';
import { RequestQueue } from './request-queue.ts';
import { parseRoute, type ReadName, type Route } from './router.ts';

/** How long a refused client may go on sending before the connection is closed, so that it can read why. */
const LINGER_MS = 1_000;

export type { ReadName } from './router.ts';

/** What requests are answered from, and who may ask. */
export interface Served {
  readonly content: Pick<ServedContent, 'storesFor' | 'greet' | 'local' | 'status' | 'facts' | 'peers'>;
  readonly authenticator: Authenticator;
  /** Default: by the distribution spec. */
  readonly readName?: ReadName | undefined;
}

/** Everything between a request and its answer. Takes requests of any `node:http` server. */
export class RequestHandler {
  readonly #settings: Settings;
  readonly #content: Served['content'];
  readonly #authenticator: Authenticator;
  readonly #readName: ReadName | undefined;
  readonly #queue = new RequestQueue();
  readonly #turns = new ClientQueue();
  readonly #documents = new DocumentMemory();
  readonly #pages = new Pages();
  /** What is counted of the requests. */
  readonly observations: Observations;

  constructor(settings: Settings, { content, authenticator, readName }: Served) {
    this.#settings = settings;
    this.#content = content;
    this.#authenticator = authenticator;
    this.#readName = readName;
    this.observations = new Observations(settings.now);
  }

  /**
   * Answers one request, after those that its connection sent before; never throws, whatever the request is
   * (reliability S50).
   */
  async handle(request: IncomingMessage, response: ServerResponse, awaitsContinue = false): Promise<void> {
    // Without a listener, an answer to a client that is gone would end the process.
    response.on('error', () => undefined);
    await this.#queue.take(request, response, async () => {
      await this.#turns.take(clientOf(request.socket.remoteAddress));
      await this.#answer(request, response, awaitsContinue);
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean): Promise<void> {
    const observed = new ObservedRequest(request, response, this.#settings.now());
    const expectation = { pending: awaitsContinue };
    const documents = this.#documents.open(clientOf(observed.remote));
    const closed = new Promise((resolve) => response.once('close', resolve));
    response.setHeader('Docker-Distribution-API-Version', 'registry/2.0');
    response.setHeader('X-Content-Type-Options', 'nosniff');
    try {
      refuseAmbiguous(request);
      checkHostHeader(request, { hostNames: this.#settings.hostNames, isLinkable: isBesideApi(request) });
      const { route, query } = parseRoute(request.url ?? '', this.#readName);
      observed.route = route;
      const access = await this.#authorize(request, route, query, (name) => {
        observed.user = name;
      });
      const bodiless = request.method === 'GET' || request.method === 'HEAD';
      if (bodiless && hasUnreadBody(request, expectation)) response.setHeader('Connection', 'close');
      const exchange = new Exchange(request, response, { query, access, expectation, documents });
      observed.exchange = exchange;
      await answerRoute(route, exchange, {
        content: this.#content,
        settings: this.#settings,
        observations: this.observations,
        pages: this.#pages,
        onFailure: (error) => this.#failed(request, error),
      });
    } catch (error) {
      await this.#refuse(request, response, { error, expectation });
    } finally {
      // Both ends: of a client that hangs up, what it sent is still being written when the answer is closed already.
      void closed.then(() => documents.release());
      void closed.then(() => this.#tell(observed.over(this.#settings.now())));
    }
  }

  /** @param onKnown told the user who asks, also when the answer is no. */
  async #authorize(
    request: IncomingMessage,
    route: Route,
    query: URLSearchParams,
    onKnown: (user: string | undefined) => void,
  ): Promise<Access> {
    const need = needOf(route, request, this.#settings.metrics);
    // Not even a wrong login is looked at, which would cost a comparison.
    if (need === undefined) return anonymousAccess;
    const result = await this.#authenticator.authenticate(request);
    switch (result.kind) {
      case 'granted':
        onKnown(result.access.user);
        if (result.access.allows(need)) return result.access;
        if (result.access.otherwise === 'forbid') throw readOnly(result.access.user);
        throw this.#challenge({
          needs: scopes(need, route, query),
          // A client without a token has none that could be insufficient.
          ...(result.access === anonymousAccess
            ? { reason: 'authentication is required' }
            : { error: 'insufficient_scope' }),
        });
      case 'refused':
        throw this.#challenge({ needs: scopes(need, route, query), ...result });
      case 'throttled':
        throw new Refusal(429, 'TOOMANYREQUESTS', 'too many wrong passwords, wait a while', {
          headers: { 'Retry-After': String(Math.ceil(result.retryAfterMs / 1000)) },
        });
      default:
        return unreachable(result);
    }
  }

  /** The same for repositories that exist and that do not: nothing was looked up yet (reliability S41). */
  #challenge(facts: {
    needs: readonly RequiredAccess[];
    reason?: string;
    error?: 'invalid_token' | 'insufficient_scope';
  }): Refusal {
    const why = facts.reason ?? 'the token does not allow this';
    return new Refusal(401, 'UNAUTHORIZED', why, {
      headers: { 'WWW-Authenticate': this.#authenticator.challenge(facts.needs, facts.error) },
    });
  }

  /** Turns whatever was thrown into the error body of the spec. */
  async #refuse(
    request: IncomingMessage,
    response: ServerResponse,
    { error, expectation }: { readonly error: unknown; readonly expectation: Expectation },
  ): Promise<void> {
    if (error instanceof ClientAborted || response.destroyed) {
      response.destroy();
      return;
    }
    const refusal = error instanceof Refusal ? error : this.#fault(request, error);
    if (response.headersSent) {
      // The status line promised a whole body: only a broken connection tells the client that this is not one.
      response.destroy();
      return;
    }
    const { status, headers } = refusal;
    const { body, headers: ofBody } = refusalBody(request, refusal);
    const length = Buffer.byteLength(body);
    const unread = hasUnreadBody(request, expectation);
    if (unread) response.setHeader('Connection', 'close');
    response.writeHead(status, { ...ofBody, 'Content-Length': length, ...headers });
    if (request.method !== 'HEAD') response.write(body);
    if (unread && !expectation.pending) {
      request.resume();
      await Promise.race([delay(LINGER_MS, undefined, { ref: false }), ended(request)]);
    }
    response.end();
  }

  #fault(request: IncomingMessage, error: unknown): Refusal {
    this.#failed(request, error);
    if (diskCode(error) === 'DISK_FULL') return storageFull('the disk of the registry is full');
    return new Refusal(500, 'UNKNOWN', 'the registry could not do this, its log says why');
  }

  #failed({ method = '', url = '' }: IncomingMessage, error: unknown): void {
    this.#tell({ kind: 'failure', method, path: pathOf(url), message: describeError(error) });
  }

  #tell(event: RegistryEvent): void {
    this.observations.observe(event);
    this.#settings.log(event);
  }
}

/** Another password would not help: the user is known already. */
function readOnly(user: string | undefined): Refusal {
  return new Refusal(403, 'DENIED', `the user ${user ?? ''} may read here, and change nothing`);
}

/** A mount needs a second right; asking for both at once spares the client a second trip to the token service. */
function scopes(need: RequiredAccess, route: Route, query: URLSearchParams): readonly RequiredAccess[] {
  const from = route.kind === 'uploads' && query.has('mount') ? query.get('from') : null;
  // Quotes or worse from the query must not get into a header.
  if (from === null || !/^[a-z0-9._/-]{1,255}$/.test(from)) return [need];
  return [need, { kind: 'repository', repository: from, actions: ['pull'] }];
}

async function ended(request: IncomingMessage): Promise<void> {
  await new Promise<void>((resolve) => {
    request.once('end', resolve);
    request.once('close', resolve);
  });
}
