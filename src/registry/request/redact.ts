import { EACH_UNPRINTABLE } from '../../names/unprintable.ts';

/** Colours, titles and other orders to a terminal, whole, so that no `[31m` is left behind. */
const ESCAPE_SEQUENCE =
  // oxlint-disable-next-line no-control-regex -- control characters are exactly what must go
  /\u001b(?:\[[0-9;?]{0,32}[ -/]{0,4}[@-~]|\][^\u0007\u001b]{0,256}(?:\u0007|\u001b\\)|[@-Z\\^_])/g;
const URL_IN_TEXT = /\bhttps?:\/\/[^\s"'<>]{1,4096}/gi;
const NAMED_SECRET =
  /\b(password|passwd|secret|[a-z_]{0,20}token|_state|signature|sig)(["']?\s?[=:]\s?["']?)[^\s&"',;]{1,4096}/gi;
const AUTHORIZATION = /\b(basic|bearer)\s{1,4}[A-Za-z0-9+/=._~-]{16,8192}/gi;

/**
 * A URL as it may be shown: without user, query and fragment, all of which carry secrets (signed URLs, `_state`;
 * reliability S34).
 */
export function redactUrl(url: URL | string): string {
  if (typeof url === 'string' && !URL.canParse(url)) return '(unreadable URL)';
  const { protocol, host, pathname, search } = new URL(url);
  const path = pathname.length > 200 ? `${pathname.slice(0, 200)}…` : pathname;
  return `${protocol}//${host}${path}${search === '' ? '' : '?…'}`;
}

/** The address that an answer names, as it may be shown: not where it repeats a secret that was sent. */
export function shownAddress(
  url: URL,
  { repeatsSecret }: { readonly repeatsSecret?: (text: string) => boolean },
): string {
  const shown = redactUrl(url);
  return repeatsSecret?.(shown) === true ? 'an address that repeats our login' : shown;
}

/**
 * Text from the other side, made safe to show in one line: no control characters, no terminal escapes, no bidi tricks
 * (S35), nothing that looks like a secret (S34), at most `limit` characters.
 */
export function cleanText(text: string, limit = 300): string {
  // Looking at a few times the limit is enough, and bounds the work of the patterns.
  const bounded = text.slice(0, limit * 8);
  const cleaned = bounded
    .replaceAll(ESCAPE_SEQUENCE, '')
    .replaceAll(EACH_UNPRINTABLE, ' ')
    .replaceAll(URL_IN_TEXT, (url) => redactUrl(url))
    .replaceAll(AUTHORIZATION, '$1 …')
    .replaceAll(NAMED_SECRET, '$1$2…')
    .replaceAll(/ {2,}/g, ' ')
    .trim();
  return cleaned.length > limit ? `${cleaned.slice(0, limit - 1)}…` : cleaned;
}

/** The first line of a text that says anything, cleaned; empty when none does. */
export function firstUsefulLine(text: string, limit = 300): string {
  for (const line of text.slice(0, 65_536).split(/[\r\n\u2028\u2029]+/)) {
    const cleaned = cleanText(line, limit);
    if (/[\p{L}\p{N}]/u.test(cleaned)) return cleaned;
  }
  return '';
}
