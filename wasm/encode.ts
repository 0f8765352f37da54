/*
 * The numbers are those of src/codec/lz4-block-encoder.ts, which explains them: with others the bytes would not be the
 * same.
 */

const MIN_MATCH: usize = 4;
const MATCH_START_LIMIT: usize = 12;
const LAST_LITERALS: usize = 5;
const MAX_OFFSET: usize = 65535;
const HASH_BITS: u32 = 14;
const HASH_MULTIPLIER: u64 = 2654435761;
const SKIP_BITS: u32 = 4;

/** Longer runs are worth a call of the engine's own copy. */
const LONG_RUN: usize = 256;

/**
 * Encodes `[from, to)` into `[at, limit)`; matches reach back to `history` at most. Returns the end of the encoded
 * block, or 0 when it does not fit. Copies whole vectors: up to 31 bytes behind `to` are read and up to 31 behind
 * `limit` written.
 *
 * @param places a table of 2^14 numbers of 16 bits: where five bytes with this hash were seen last, as distance from
 * `source`.
 * @param source the address that places are counted from.
 */
export function encodeBlock(
  places: usize,
  source: usize,
  history: usize,
  from: usize,
  to: usize,
  at: usize,
  limit: usize,
): usize {
  let write = at;
  let anchor = from;
  if (to - from >= MATCH_START_LIMIT) {
    const lastStart = to - MATCH_START_LIMIT;
    const lastMatchEnd = to - LAST_LITERALS;
    let read = from;
    let misses: u32 = 1 << SKIP_BITS;
    while (read <= lastStart) {
      const place = placeOf(places, read);
      const distance = (read - source - <usize>load<u16>(place)) & MAX_OFFSET;
      store<u16>(place, <u16>(read - source));
      let match = read - distance;
      // One comparison for both ends of what is allowed: a distance of 0 becomes the greatest number.
      if (distance - 1 >= read - history || load<u32>(match) != load<u32>(read)) {
        read += <usize>(misses >> SKIP_BITS);
        misses += 1;
        continue;
      }
      let start = read;
      while (start > anchor && match > history && load<u8>(start - 1) == load<u8>(match - 1)) {
        start -= 1;
        match -= 1;
      }
      const offset = start - match;
      const end = endOfMatch(read + MIN_MATCH, offset, lastMatchEnd);
      write = writeSequence(anchor, start, offset, end - start, write, limit);
      if (write == 0) return 0;
      anchor = end;
      read = end;
      misses = 1 << SKIP_BITS;
      if (end <= lastStart) store<u16>(placeOf(places, end - 2), <u16>(end - 2 - source));
    }
  }
  return writeLastLiterals(anchor, to, write, limit);
}

function placeOf(places: usize, at: usize): usize {
  // Moved to the top of the 64 bits, five bytes are left.
  return places + ((<usize>(((load<u64>(at) << 24) * HASH_MULTIPLIER) >> (64 - HASH_BITS))) << 1);
}

/** First address from `at` on where the bytes differ from those `offset` before, or `limit`. */
function endOfMatch(at: usize, offset: usize, limit: usize): usize {
  let end = at;
  while (end + 8 <= limit) {
    const difference = load<u64>(end) ^ load<u64>(end - offset);
    // The lowest bit that differs tells how many whole bytes are equal.
    if (difference != 0) return end + <usize>(ctz<u64>(difference) >> 3);
    end += 8;
  }
  while (end < limit && load<u8>(end) == load<u8>(end - offset)) end += 1;
  return end;
}

/** Writes the literals `[from, to)` and a match. Returns the end, or 0 when there is no room for it. */
function writeSequence(from: usize, to: usize, offset: usize, matchLength: usize, at: usize, limit: usize): usize {
  const literals = to - from;
  const rest = matchLength - MIN_MATCH;
  if (at + 12 + literals + literals / 255 + rest / 255 > limit) return 0;
  store<u8>(at, (min<usize>(literals, 15) << 4) | min<usize>(rest, 15));
  let write = literals < 15 ? at + 1 : writeLength(at + 1, literals - 15);
  copyLiterals(write, from, literals);
  write += literals;
  store<u16>(write, <u16>offset);
  return rest < 15 ? write + 2 : writeLength(write + 2, rest - 15);
}

function writeLastLiterals(from: usize, to: usize, at: usize, limit: usize): usize {
  const literals = to - from;
  if (at + 2 + literals + literals / 255 > limit) return 0;
  store<u8>(at, min<usize>(literals, 15) << 4);
  const write = literals < 15 ? at + 1 : writeLength(at + 1, literals - 15);
  copyLiterals(write, from, literals);
  return write + literals;
}

function copyLiterals(to: usize, from: usize, length: usize): void {
  if (length > LONG_RUN) {
    memory.copy(to, from, length);
    return;
  }
  for (let done: usize = 0; done < length; done += 16) v128.store(to + done, v128.load(from + done));
}

function writeLength(at: usize, length: usize): usize {
  while (length >= 255) {
    store<u8>(at, 255);
    length -= 255;
    at += 1;
  }
  store<u8>(at, <u8>length);
  return at + 1;
}
