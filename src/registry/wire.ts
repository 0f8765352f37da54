import { describeError } from '../errors.ts';
import type { Clock } from './request/clock.ts';
import { cleanText, redactUrl } from './request/redact.ts';
import type { Method, RegistryRequest, RegistryResponse, Transport } from './request/request.ts';

/** A header as it may be shown. */
export type ShownHeader = readonly [name: string, value: string];

/**
 * What crosses the wire, as it may be shown: no secret is in it, whatever the other side put into its URLs and headers
 * (reliability S34).
 */
export type WireEvent = {
  readonly method: Method;
  /** Without user, query and fragment. */
  readonly url: string;
} & (
  | {
      readonly kind: 'request';
      readonly headers: readonly ShownHeader[];
      /** Length of the body in bytes; undefined without one. */
      readonly bodyBytes: number | undefined;
    }
  | {
      /**
       * The head of an answer is there, so many milliseconds after the request. Redirects and refusals come one by one.
       */
      readonly kind: 'answer';
      readonly status: number;
      readonly headers: readonly ShownHeader[];
      readonly milliseconds: number;
    }
  | {
      /** There is no answer. */
      readonly kind: 'failed';
      readonly reason: string;
      readonly milliseconds: number;
    }
);

/** Told of every request and answer, those of token services included. */
export type OnWire = (event: WireEvent) => void;

/** What a header may show: all of it, a URL without its secrets, or only the word that says of which kind it is. */
type Showing = 'text' | 'url' | 'scheme';

/** Headers that explain something. All others are left out: which of them are secret, only their inventors know. */
const REQUEST_HEADERS = new Map<string, Showing>([
  ['accept', 'text'],
  ['authorization', 'scheme'],
  ['content-range', 'text'],
  ['content-type', 'text'],
  ['range', 'text'],
]);
const ANSWER_HEADERS = new Map<string, Showing>([
  ['accept-ranges', 'text'],
  ['content-length', 'text'],
  ['content-range', 'text'],
  ['content-type', 'text'],
  ['docker-content-digest', 'text'],
  ['docker-distribution-api-version', 'text'],
  ['location', 'url'],
  ['oci-chunk-min-length', 'text'],
  ['oci-subject', 'text'],
  ['range', 'text'],
  ['ratelimit-limit', 'text'],
  ['ratelimit-remaining', 'text'],
  ['retry-after', 'text'],
  ['server', 'text'],
  ['via', 'text'],
  ['warning', 'text'],
  ['www-authenticate', 'text'],
  ['x-request-id', 'text'],
]);

/** A client that knows the whole id of an upload can go on with it. */
const UPLOAD_ID = /(\/blobs\/uploads\/[^/?]{8})[^/?]+/;

/**
 * Tells of everything that `next` sends and gets.
 *
 * @param repeatsSecret whether a text has a secret of ours: a registry may have put one into the address that it led
 * to.
 */
export function observed(
  next: Transport,
  onWire: OnWire | undefined,
  clock: Clock,
  repeatsSecret: (text: string) => boolean,
): Transport {
  if (onWire === undefined) return next;
  return async (request, signal) => {
    const what = {
      method: request.method,
      url: repeatsSecret(request.url.href) ? `${request.url.origin}/…` : shownUrl(request.url),
    };
    const began = clock.monotonic();
    const since = (): number => Math.round(clock.monotonic() - began);
    onWire({ kind: 'request', ...what, headers: requestHeaders(request), bodyBytes: request.body?.length });
    try {
      const response = await next(request, signal);
      const { status } = response;
      onWire({ kind: 'answer', ...what, status, headers: answerHeaders(response), milliseconds: since() });
      return response;
    } catch (error) {
      onWire({ kind: 'failed', ...what, reason: cleanText(describeError(error)), milliseconds: since() });
      throw error;
    }
  };
}

function requestHeaders({ headers, url }: RegistryRequest): ShownHeader[] {
  return Object.entries(headers).flatMap(([name, value]) => shownHeader(REQUEST_HEADERS, name, value, url));
}

function answerHeaders({ headers, url, repeatsSecret = () => false }: RegistryResponse): ShownHeader[] {
  return [...ANSWER_HEADERS.keys()]
    .flatMap((name) => headers.all(name).flatMap((value) => shownHeader(ANSWER_HEADERS, name, value, url)))
    .map(([name, value]) => [name, repeatsSecret(value) ? '…' : value]);
}

function shownHeader(known: ReadonlyMap<string, Showing>, name: string, value: string, base: URL): ShownHeader[] {
  switch (known.get(name)) {
    case 'text':
      return [[name, cleanText(value)]];
    case 'url':
      return [[name, URL.canParse(value, base.href) ? shownUrl(new URL(value, base)) : '(unreadable URL)']];
    case 'scheme':
      return [[name, `${/^[a-z]{1,20}(?= )/i.exec(value)?.[0] ?? ''} …`]];
    case undefined:
      return [];
  }
}

/** A URL as it may be shown. */
export function shownUrl(url: URL): string {
  return cleanText(redactUrl(url)).replace(UPLOAD_ID, '$1…');
}
