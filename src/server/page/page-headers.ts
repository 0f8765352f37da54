/**
 * Headers of every page and of its files. Nothing but our own files is loaded, nothing within the page runs or styles
 * it, no other page frames it or learns its address, and it is kept by no cache that others share.
 */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; " +
    "frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'private, no-cache',
};

/** `Content-Type` of a page. */
export const PAGE_TYPE = 'text/html; charset=utf-8';
