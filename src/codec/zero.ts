const ZEROS = Buffer.alloc(64 * 1024);

/**
 * Whether all of `bytes[from, to)` are zero; true for nothing at all. Looks at a few bytes first, then compares with
 * memcmp's speed.
 */
export function isZero(bytes: Uint8Array, from = 0, to = bytes.length): boolean {
  if (from >= to) return true;
  if (bytes[from] !== 0 || bytes[to - 1] !== 0 || bytes[(from + to) >>> 1] !== 0) return false;
  for (let at = from; at < to; at += ZEROS.length) {
    const end = Math.min(to, at + ZEROS.length);
    if (ZEROS.compare(bytes, at, end, 0, end - at) !== 0) return false;
  }
  return true;
}
