import { describeError, TartletError } from '../../errors.ts';
import { Backoff, type Timing } from '../request/backoff.ts';
import { hostAndPort } from '../request/network-error.ts';
import { HostThrottle } from './host-throttle.ts';
import { RETRY_POLICY, STATUSES, type FailureKind, classifyFailure } from '../request/retry-policy.ts';
import type { RegistryRequest, RegistryResponse, Transport } from '../request/request.ts';
import { retryAfterMs } from './retry-after.ts';

/**
 * Repeats what {@link RETRY_POLICY} says is worth repeating, until the response headers are there. A body is the
 * business of its reader: a request that is a part of something longer brings the {@link Backoff} of the whole. When
 * the attempts are used up, the last answer is returned, or the last error thrown.
 * @param reached origins that ever answered; those that answer are added.
 * @throws TartletError `RATE_LIMITED` when the registry wants us to wait more than five minutes.
 */
export function withRetry(
  next: Transport,
  timing: Timing,
  throttle = new HostThrottle(timing),
  reached = new Set<string>(),
): Transport {
  return async (request, signal) => {
    const backoff = request.backoff ?? new Backoff(timing, hasContent(request) ? Infinity : undefined);
    for (;;) {
      const outcome = await attempt(next, request, { backoff, timing, throttle, reached }, signal);
      if (outcome.kind === 'answer') return outcome.response;
      await backoff.pause(outcome.reason, signal, outcome.milliseconds);
    }
  };
}

/** An answer to pass on, or a pause after which to ask again. */
type Outcome =
  | { readonly kind: 'answer'; readonly response: RegistryResponse }
  | { readonly kind: 'pause'; readonly reason: string; readonly milliseconds: number };

interface RetryContext {
  readonly backoff: Backoff;
  readonly timing: Timing;
  readonly throttle: HostThrottle;
  readonly reached: Set<string>;
}

async function attempt(
  next: Transport,
  request: RegistryRequest,
  { backoff, timing, throttle, reached }: RetryContext,
  signal: AbortSignal | undefined,
): Promise<Outcome> {
  const { origin } = request.url;
  const answered = await throttle.acquire(origin, hasContent(request), signal);
  backoff.begins();
  let isWell = false;
  try {
    const response = await next(request, signal);
    reached.add(origin);
    const failureKind = STATUSES.get(response.status);
    isWell = failureKind === undefined;
    const milliseconds =
      failureKind === undefined ? undefined : await pauseFor(failureKind, response, request, backoff, timing);
    if (milliseconds === undefined) return { kind: 'answer', response };
    if (isAboutHost(failureKind)) throttle.reportOverload(origin, milliseconds);
    await response.body.discard();
    return { kind: 'pause', reason: `${hostAndPort(response.url)} answered ${response.status}`, milliseconds };
  } catch (error) {
    signal?.throwIfAborted();
    const failureKind = classifyFailure(error, request.url, reached.has(origin) ? 'later' : 'first');
    if (failureKind === undefined || !mayRepeat(request, failureKind) || !backoff.shouldRetry(failureKind)) throw error;
    return { kind: 'pause', reason: describeError(error), milliseconds: backoff.delay() };
  } finally {
    // Only after a complaint was passed on: it makes requests wait that would go now.
    answered(isWell);
  }
}

function hasContent({ body }: RegistryRequest): boolean {
  return (body?.length ?? 0) > 0;
}

function mayRepeat({ idempotent }: RegistryRequest, failureKind: FailureKind): boolean {
  return idempotent || RETRY_POLICY[failureKind].mayHaveBegun !== true;
}

function isAboutHost(failureKind: FailureKind | undefined): boolean {
  return failureKind !== undefined && RETRY_POLICY[failureKind].wholeHost === true;
}

/** How long to wait before asking again, in milliseconds; undefined: this answer is the last. */
async function pauseFor(
  failureKind: FailureKind,
  response: RegistryResponse,
  request: RegistryRequest,
  backoff: Backoff,
  timing: Timing,
): Promise<number | undefined> {
  if (!mayRepeat(request, failureKind)) return undefined;
  const asked = isAboutHost(failureKind) ? retryAfterMs(response, timing.clock) : undefined;
  if (asked !== undefined && asked > timing.limits.retryAfterMs) {
    await response.body.discard();
    throw tooLong(request.url, response.status, asked, timing.clock.now());
  }
  return backoff.shouldRetry(failureKind) ? backoff.delay(asked) : undefined;
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
    next: { kind: 'wait-or-log-in' },
  });
}
