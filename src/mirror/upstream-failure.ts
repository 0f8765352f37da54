import { type ErrorCode, isDiskError, isTartletError, type TartletError } from '../errors.ts';
import { Refusal } from '../server/contract/refusal.ts';
import { CHALLENGE } from './login.ts';

const PASSING: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'NET_DNS',
  'NET_CONNECT',
  'NET_PROXY',
  'NET_TIMEOUT',
  'NET_BROKEN',
  'RATE_LIMITED',
  'REG_UNAVAILABLE',
]);

/** Whether an upstream did not answer, or could not: what is here may be given instead. */
export function isPassing(error: unknown): boolean {
  return isTartletError(error) && PASSING.has(error.code);
}

/** Whether an upstream said no to who asked, and not to what was asked. */
export function isDenial(error: unknown): boolean {
  return (
    isTartletError(error, 'AUTH_REQUIRED') || (isTartletError(error, 'AUTH_DENIED') && error.facts.status !== undefined)
  );
}

/**
 * What a client hears when its upstream refused or did not answer. Which upstream and why stands in the text: the
 * cache itself is well.
 * @param login what to say about logins; undefined where no other login of the client could help.
 * @throws whatever is no failure of the upstream.
 */
export function refusalOf(error: unknown, upstream: string, login: string | undefined): Refusal {
  if (error instanceof Refusal) return error;
  if (!isTartletError(error)) throw error;
  const { code, facts, message } = error;
  // Of this machine, and not of an upstream: the client hears that something is wrong, the log what.
  if (isDiskError(error) || code === 'INTERNAL') throw error;
  if (code === 'INTERRUPTED') return new Refusal(503, 'UNKNOWN', 'the cache is being closed');
  if (code === 'AUTH_REQUIRED' && login !== undefined) return challenge(`${message}; ${login}`);
  if (isDenial(error)) return facts.status === 401 && login !== undefined ? challenge(message) : denied(error);
  const text = `${upstream} refused or did not answer: ${message}`;
  if (code === 'RATE_LIMITED') {
    const status = facts.status === 503 ? 503 : 429;
    return new Refusal(status, 'TOOMANYREQUESTS', text, { headers: retryAfter(error) });
  }
  return new Refusal(code === 'NET_TIMEOUT' ? 504 : 502, 'UNKNOWN', text);
}

function denied({ message }: TartletError): Refusal {
  return new Refusal(403, 'DENIED', message);
}

function challenge(text: string): Refusal {
  return new Refusal(401, 'UNAUTHORIZED', text, { headers: { 'WWW-Authenticate': CHALLENGE } });
}

function retryAfter({ facts }: TartletError): Record<string, string> {
  const { retryAfterMs } = facts;
  return retryAfterMs === undefined ? {} : { 'Retry-After': String(Math.ceil(retryAfterMs / 1000)) };
}
