import { type ErrorCode, TartletError } from '../errors.ts';
import { RegistryAddress } from '../names/registry-address.ts';
import { Backoff, type Timing } from './backoff.ts';
import { hostAndPort } from './network-error.ts';
import type { Repeat, RegistryRequest, RegistryResponse, Transport } from './request.ts';
import { retryAfterMs } from './retry-after.ts';

/** One kind of failure that a repeat may heal. */
interface Failure {
  readonly code: ErrorCode;
  /** What the error says about itself (`facts.retryable`). */
  readonly transient: boolean;
  /** Tries in all; absent: the general limit. */
  readonly attempts?: number;
  /** Tries in all when the registry is this very machine: who runs one here knows whether it runs. */
  readonly attemptsOnLoopback?: number;
  /** Whether the registry may have begun to act: then only requests with `repeat: 'always'` go again. */
  readonly mayHaveBegun: boolean;
}

/** Failures without an answer. What is not here (TLS, a refused redirect, a broken local file) is final at once. */
const FAILURES: readonly Failure[] = [
  { code: 'NET_DNS', transient: true, mayHaveBegun: false },
  { code: 'NET_DNS', transient: false, attempts: 2, mayHaveBegun: false }, // N1: unknown name
  { code: 'NET_CONNECT', transient: true, attemptsOnLoopback: 3, mayHaveBegun: false },
  { code: 'NET_PROXY', transient: true, mayHaveBegun: false },
  { code: 'NET_TIMEOUT', transient: true, mayHaveBegun: true },
  { code: 'NET_BROKEN', transient: true, mayHaveBegun: true },
  { code: 'NET_PROTOCOL', transient: true, attempts: 2, mayHaveBegun: true }, // N22
];

/**
 * Answers that a repeat may heal (N26–N31), by the requests that may be repeated. 499 and 52x come from proxies in front of registries;
 * 501, 505, 507 and every other 4xx will not change by asking again.
 */
const STATUSES: ReadonlyMap<number, Repeat> = new Map<number, Repeat>([
  [408, 'unless-begun'],
  [429, 'unless-begun'],
  [503, 'unless-begun'],
  ...[499, 500, 502, 504, 520, 521, 522, 523, 524].map((status): [number, Repeat] => [status, 'always']),
]);

/** Answers that concern everybody who talks to this host, not only this request. */
const HOST_IS_BUSY = new Set([429, 503]);

/** Until when the requests to a host are held back; shared by all requests of a client, so that they do not storm it together (N26, N28). */
export class Pacing {
  readonly #notBefore = new Map<string, number>();
  readonly #timing: Timing;

  constructor(timing: Timing) {
    this.#timing = timing;
  }

  hold(origin: string, milliseconds: number): void {
    const until = this.#timing.clock.monotonic() + milliseconds;
    this.#notBefore.set(origin, Math.max(until, this.#notBefore.get(origin) ?? 0));
  }

  /** Waits until requests to `origin` are welcome again. */
  async admit(origin: string, signal?: AbortSignal): Promise<void> {
    const { clock, limits } = this.#timing;
    const rest = (this.#notBefore.get(origin) ?? 0) - clock.monotonic();
    if (rest > 0) await clock.sleep(rest + clock.random() * limits.backoffMs, signal);
  }
}

/**
 * Repeats what is worth repeating until the response headers are there. Bodies are the business of whoever reads them.
 * When the attempts are used up, the last answer is returned, or the last error thrown.
 * @throws TartletError `RATE_LIMITED` when the registry wants us to wait more than five minutes.
 */
export function withRetry(next: Transport, timing: Timing, pacing = new Pacing(timing)): Transport {
  return async (request, signal) => {
    const backoff = new Backoff(timing);
    for (;;) {
      await pacing.admit(request.url.origin, signal);
      try {
        const response = await next(request, signal);
        if (!(await pauseAfter(response, request, backoff, timing, pacing, signal))) return response;
      } catch (error) {
        signal?.throwIfAborted();
        const failure = failureOf(error, request);
        if (failure === undefined || !backoff.allows(attemptsFor(failure, request.url))) throw error;
        await backoff.pause(error instanceof TartletError ? error.message : 'the request failed', signal);
      }
    }
  };
}

function failureOf(error: unknown, { repeat }: RegistryRequest): Failure | undefined {
  if (!(error instanceof TartletError)) return undefined;
  return FAILURES.find(
    ({ code, transient, mayHaveBegun }) =>
      code === error.code && transient === (error.facts.retryable ?? false) && (repeat === 'always' || !mayHaveBegun),
  );
}

function attemptsFor(failure: Failure, url: URL): number | undefined {
  const { attemptsOnLoopback } = failure;
  if (attemptsOnLoopback === undefined) return failure.attempts;
  return RegistryAddress.tryParse(url.host)?.isLoopback === true ? attemptsOnLoopback : failure.attempts;
}

/** Whether the answer was discarded and the pause is over: ask again. */
async function pauseAfter(
  response: RegistryResponse,
  request: RegistryRequest,
  backoff: Backoff,
  timing: Timing,
  pacing: Pacing,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const repeat = STATUSES.get(response.status);
  if (repeat === undefined || (repeat === 'always' && request.repeat !== 'always')) return false;
  const asked = HOST_IS_BUSY.has(response.status) ? retryAfterMs(response, timing.clock) : undefined;
  if (asked !== undefined && asked > timing.limits.retryAfterMs) {
    await response.body.discard();
    throw tooLong(request.url, response.status, asked, timing.clock.now());
  }
  if (!backoff.allows()) return false;
  await response.body.discard();
  const delay = backoff.delay(asked);
  if (HOST_IS_BUSY.has(response.status)) pacing.hold(request.url.origin, delay);
  await backoff.pause(`${hostAndPort(response.url)} answered ${response.status}`, signal, delay);
  return true;
}

function tooLong(url: URL, status: number, waitMs: number, now: number): TartletError {
  const host = hostAndPort(url);
  // Beyond the year 275760 there are no dates: a registry that asks for that has said "never".
  const until = new Date(Math.min(now + waitMs, 8.64e15)).toISOString();
  return new TartletError('RATE_LIMITED', `${host} asks to wait until ${until.slice(0, 16).replace('T', ' ')} UTC`, {
    subject: host,
    status,
    retryable: true,
    retryAfterMs: waitMs,
    next: 'try again then, or log in: registries let known users do more',
  });
}
