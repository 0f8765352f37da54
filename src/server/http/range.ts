/** What part of a blob a `Range` header asks for. `end` is exclusive; both in bytes. */
export type RangeRequest =
  | { readonly kind: 'whole' }
  | { readonly kind: 'part'; readonly start: number; readonly end: number }
  | { readonly kind: 'unsatisfiable' };

const SINGLE = /^bytes=(\d{0,15})-(\d{0,15})$/;

/**
 * Reads a `Range` header against a length in bytes (RFC 9110 §14). Open ends and suffixes are served (reliability §1.2
 * trap 7); several ranges, other units and nonsense mean the whole blob, as the RFC allows (S51). A range that ends
 * before it begins is refused rather than ignored: the conformance suite asks for 416, and a client that computes one
 * is broken.
 */
export function parseRange(header: string | undefined, length: number): RangeRequest {
  const match = header === undefined ? null : SINGLE.exec(header.replaceAll(' ', ''));
  if (match === null) return { kind: 'whole' };
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return { kind: 'whole' };
  if (first === '') {
    const suffix = Math.min(Number(last), length);
    return suffix === 0 ? { kind: 'unsatisfiable' } : { kind: 'part', start: length - suffix, end: length };
  }
  const start = Number(first);
  const end = last === '' ? length : Math.min(Number(last) + 1, length);
  return start >= end ? { kind: 'unsatisfiable' } : { kind: 'part', start, end };
}

/** Where a pushed chunk says it belongs; `last` is inclusive, as on the wire. */
export interface ChunkRange {
  readonly start: number;
  readonly last: number;
}

/**
 * Reads the `Content-Range` of a chunk: `0-99`, as the distribution spec writes it, or `bytes 0-99/…`, as HTTP does.
 * @returns undefined without a header, `malformed` for anything else.
 */
export function parseChunkRange(header: string | undefined): ChunkRange | 'malformed' | undefined {
  if (header === undefined) return undefined;
  const match = /^(?:bytes[ =])?(\d{1,15})-(\d{1,15})(?:\/(?:\d{1,15}|\*))?$/.exec(header.trim());
  if (match === null) return 'malformed';
  const start = Number(match[1]);
  const last = Number(match[2]);
  return last < start ? 'malformed' : { start, last };
}
