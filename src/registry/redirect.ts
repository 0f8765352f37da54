import { TartletError } from '../errors.ts';
import { limits as defaultLimits, type Limits } from './request/limits.ts';
import { redactUrl, shownAddress } from './request/redact.ts';
import type { RegistryRequest, ResponseStart, Transport } from './request/request.ts';
import { withoutBody } from './request/response-body.ts';
import { byKnownName, isSamePlace } from './request/same-place.ts';

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** Those that keep method and body. */
const SAME_METHOD = new Set([307, 308]);

/** What another origin may see of a request: never `authorization`, nor any header we do not know (reliability S10). */
const HARMLESS_HEADERS = new Set(['accept', 'range', 'content-type', 'content-range']);

/**
 * Follows redirects by hand, so that credentials stay with their origin. GET and HEAD follow all kinds, requests with a
 * body only 307 and 308, by sending the body again. `Range` is kept; the answer is marked `crossOrigin` once another
 * origin took part. Two names of this machine are one origin where {@link isSamePlace} says so.
 * @throws TartletError `REDIRECT_REFUSED` for more than five, a loop, https to http, or a Location that is no http(s)
 * URL (N46–N49).
 */
export function withRedirects(next: Transport, limits: Limits = defaultLimits): Transport {
  return async (request, signal) => {
    const seen = new Set([request.url.href]);
    let current = request;
    let crossOrigin = false;
    for (;;) {
      const answer = await next(current, signal);
      if (!REDIRECTS.has(answer.status)) return crossOrigin ? { ...answer, crossOrigin } : answer;
      const response = await withoutBody(answer);
      const named = locationOf(current, response);
      const known = byKnownName(named, request.url);
      // A server that insists on its own name would send us in a loop between its two.
      const target = seen.has(known.href) ? named : known;
      const shown = shownAddress(target, response);
      checkTarget(request.url, target, { seen, most: limits.redirects, shown });
      checkMethod(current, response.status, shown);
      seen.add(target.href);
      crossOrigin ||= !isSamePlace(target, request.url);
      current = { ...current, url: target, headers: crossOrigin ? harmless(current.headers) : current.headers };
    }
  };
}

function locationOf(request: RegistryRequest, response: ResponseStart): URL {
  const location = response.headers.get('location')?.trim() ?? '';
  if (location === '' || !URL.canParse(location, request.url.href)) {
    throw refused(request.url, `it answers ${response.status} without a usable Location`);
  }
  const target = new URL(location, request.url);
  target.hash = '';
  return target;
}

interface Seen {
  readonly seen: ReadonlySet<string>;
  readonly most: number;
  /** The target, for messages. */
  readonly shown: string;
}

function checkTarget(first: URL, target: URL, { seen, most, shown }: Seen): void {
  if (target.protocol !== 'https:' && target.protocol !== 'http:') {
    throw refused(first, `it redirects to a ${target.protocol} address`);
  }
  if (target.username !== '' || target.password !== '')
    throw refused(first, 'it redirects to an address with a user in it');
  // Plain HTTP to a registry is asked for by the user; a redirect must not lead there (N48, S36).
  if (target.protocol === 'http:' && first.protocol === 'https:') {
    throw refused(first, `it redirects from https to ${shown}`);
  }
  if (seen.has(target.href)) throw refused(first, `it redirects in a loop, last to ${shown}`);
  if (seen.size > most) throw refused(first, `more than ${most} redirects, last to ${shown}`);
}

function checkMethod(request: RegistryRequest, status: number, shown: string): void {
  if (request.method === 'GET' || request.method === 'HEAD' || SAME_METHOD.has(status)) return;
  throw refused(request.url, `it answers ${request.method} with ${status} to ${shown}, which would lose the body`);
}

function harmless(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => HARMLESS_HEADERS.has(name)));
}

function refused(from: URL, why: string): TartletError {
  return new TartletError('REDIRECT_REFUSED', `did not follow ${redactUrl(from)}: ${why}`, {
    subject: redactUrl(from),
    retryable: false,
    next: { kind: 'check-registry-address-and-way' },
  });
}
