import type { Clock } from '../request/clock.ts';
import type { ResponseStart } from '../request/request.ts';

/**
 * How long a response asks us to wait, in milliseconds: `Retry-After` in seconds or as an HTTP date (RFC 9110 §10.2.3).
 * Undefined when it says nothing usable: absent, zero, past, negative, `1e9` (reliability N27). A date is compared with
 * the `Date` of the same response, so that a wrong clock on either side does not matter.
 */
export function retryAfterMs({ headers }: ResponseStart, clock: Clock): number | undefined {
  const value = headers.get('retry-after')?.trim();
  if (value === undefined) return undefined;
  if (/^\d{1,10}$/.test(value)) return Number(value) > 0 ? Number(value) * 1000 : undefined;
  // `Date.parse` takes far too much for a date, `-5` for instance; an HTTP date begins with a weekday.
  const until = /^[A-Z][a-z]{2}/.test(value) ? Date.parse(value) : Number.NaN;
  const theirs = Date.parse(headers.get('date') ?? '');
  const wait = until - (Number.isNaN(theirs) ? clock.now() : theirs);
  return wait > 0 ? wait : undefined;
}
