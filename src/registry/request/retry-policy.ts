import { type ErrorCode, isTartletError } from '../../errors.ts';
import { isLoopbackHost } from '../../names/ip-address.ts';
import { isNeverThere } from './network-error.ts';

/** What is done about one kind of failure that may pass. */
export interface RetryPolicy {
  /** Tries in all as long as nothing new arrives; absent: those of all kinds together (`limits.attempts`). */
  readonly attempts?: number;
  /**
   * Whether the registry may have begun to act. Then only requests go again whose repeat is harmless; after the others
   * the caller must look what happened (N59, N60).
   */
  readonly mayHaveBegun?: true;
  /** Whether all requests to the host are held back, and not this one alone (N26, N28). */
  readonly wholeHost?: true;
}

/**
 * The one table of what is tried again, and how often. How long the pauses are is the same for all: full jitter over a
 * window that doubles (`limits.backoffMs`, `backoffCapMs`), or what `Retry-After` asks for. What is not here is final
 * at once: TLS, a refused redirect or login, a broken local file, every status that {@link STATUSES} does not name.
 */
const KINDS = {
  /**
   * At the first contact: the name does not exist, says the name server (N1), or nothing listens there (N2). That is a
   * name or a port that was written wrong, and its user is waiting: one more try, within a second. Later it is a
   * network that is down for a while.
   */
  'never-there': { attempts: 2 },
  'resolver-busy': {},
  unreachable: {},
  /** A user with a registry on this very machine knows whether it runs. */
  'unreachable-here': { attempts: 3 },
  'proxy-failed': {},
  /** No answer, or none to the end, within the time (N3, N12, N13). */
  'timed-out': { mayHaveBegun: true },
  /** Closed or reset, before or within an answer (N14, N15, N24). */
  broken: { mayHaveBegun: true },
  /** An answer that is no HTTP, or contradicts itself (N22). */
  garbled: { attempts: 2, mayHaveBegun: true },
  /** 429, 503: the registry did nothing, and wants to be left alone (N26–N29). */
  'rate-limited': { wholeHost: true },
  overloaded: { wholeHost: true },
  /** 408: the registry did not get the whole request (N30). */
  'request-late': {},
  /** 499, 500, 502, 504, 52x: a server on the way failed (N30). */
  failing: { mayHaveBegun: true },
  /** A body that ended in peace before its end (N19, N21). */
  'ended-early': {},
  /** The length that a registry announces is not that of the blob (N16, N17, Q28). */
  'wrong-length': { attempts: 2 },
  /** A blob that the manifest names is not there, or not yet (N37). */
  'missing-blob': { attempts: 3 },
  /** The address that a redirect led to is no longer good; the registry gives new ones (N36). */
  'expired-address': { attempts: 4 },
  /** What the registry got is not what we sent: once may be the wire (Q15). */
  'damaged-upload': { attempts: 2 },
  /** An upload broke off, or its session is gone (N60, Q14). */
  'lost-upload': {},
} satisfies Readonly<Record<string, RetryPolicy>>;

export type FailureKind = keyof typeof KINDS;

/** By kind. */
export const RETRY_POLICY: Readonly<Record<FailureKind, RetryPolicy>> = KINDS;

/**
 * Answers that a repeat may repair. 499 and 52x come from proxies in front of registries; 501, 505, 507 and every other
 * 4xx will not change.
 */
export const STATUSES: ReadonlyMap<number, FailureKind> = new Map<number, FailureKind>([
  [408, 'request-late'],
  [429, 'rate-limited'],
  [503, 'overloaded'],
  ...[499, 500, 502, 504, 520, 521, 522, 523, 524].map((status): [number, FailureKind] => [status, 'failing']),
]);

/** Failures without an answer, or within one, by their codes. */
const CODES: ReadonlyMap<ErrorCode, FailureKind> = new Map<ErrorCode, FailureKind>([
  ['NET_DNS', 'resolver-busy'],
  ['NET_CONNECT', 'unreachable'],
  ['NET_PROXY', 'proxy-failed'],
  ['NET_TIMEOUT', 'timed-out'],
  ['NET_BROKEN', 'broken'],
  ['NET_PROTOCOL', 'garbled'],
  ['SIZE_MISMATCH', 'ended-early'],
]);

/**
 * The kind of a failure on the way to `url`; undefined: no repeat will help.
 * @param contact whether the place ever answered before.
 */
export function classifyFailure(
  error: unknown,
  url: URL,
  contact: 'first' | 'later' = 'later',
): FailureKind | undefined {
  if (!isTartletError(error)) return undefined;
  if (contact === 'first' && isNeverThere(error)) return 'never-there';
  if (error.facts.retryable !== true) return error.code === 'NET_DNS' ? 'resolver-busy' : undefined;
  const failureKind = CODES.get(error.code);
  const isHere = isLoopbackHost(url.hostname);
  return failureKind === 'unreachable' && isHere ? 'unreachable-here' : failureKind;
}
