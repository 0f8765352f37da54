import type { Memory } from './memory.ts';

/** Shortest match that the format can express. */
const MIN_MATCH = 4;

/** The format's end-of-block rules: the last match starts this many bytes before the end or earlier … */
const MATCH_START_LIMIT = 12;

/** … and the last bytes are literals. */
const LAST_LITERALS = 5;

/** Furthest distance that a 16-bit offset can express. */
const MAX_OFFSET = 65_535;

/** 2^14 places of two bytes fit into a core's first cache; fewer are no faster, and compress less (measured). */
const HASH_BITS = 14;

/**
 * Five bytes are hashed, although four make a match: fewer places are looked at in vain, and longer matches are found,
 * which is both smaller and faster (measured). Knuth's multiplier: 2^32 divided by the golden ratio.
 */
const HASH_MULTIPLIER = 2_654_435_761;

/** After 2^4 misses in a row the step grows by one byte: data that cannot be compressed is passed quickly. */
const SKIP_BITS = 4;

/** Longer literal runs are worth a call into the engine's memmove. */
const LONG_RUN = 64;

/**
 * Where an encoder saw which five bytes, so that blocks can refer to what came before them. Places are kept modulo 64
 * KiB, which is as far as a match can reach: moving the source by a block of 64 KiB changes none of them.
 */
export class Lz4BlockTable {
  static readonly BYTES = 2 * 2 ** HASH_BITS;

  readonly places: Uint16Array;

  /** @param memory {@link Lz4BlockTable.BYTES} of it for the table, at an address that numbers may have. */
  constructor(memory = new Uint8Array(Lz4BlockTable.BYTES)) {
    this.places = new Uint16Array(memory.buffer, memory.byteOffset, 2 ** HASH_BITS);
  }

  /** Begins a new stream: the same bytes give the same blocks, whatever was encoded before. */
  reset(): void {
    this.places.fill(0);
  }
}

/**
 * Encodes `source[from, to)` into `target[at, limit)`; matches reach back to `historyStart` at most.
 * `backend/encode.ts` does the same, to the byte.
 *
 * @returns the end of the encoded block in `target`, or -1 when it does not fit. Up to 8 bytes after that end may have
 * been written, none at `limit` or after it.
 */
export function encodeBlock(
  table: Lz4BlockTable,
  source: Memory,
  historyStart: number,
  from: number,
  to: number,
  target: Memory,
  at: number,
  limit: number,
): number {
  const { places } = table;
  const { view } = source;
  const lastStart = to - MATCH_START_LIMIT;
  const lastMatchEnd = to - LAST_LITERALS;
  let write = at;
  let anchor = from;
  let read = from;
  let misses = 1 << SKIP_BITS;
  while (read <= lastStart) {
    const hash = hashOf(view, read);
    // A place that nothing was written to yet is one like any other: only what stands there counts.
    const distance = (read - (places[hash] ?? 0)) & MAX_OFFSET;
    places[hash] = read;
    let match = read - distance;
    if (distance === 0 || match < historyStart || view.getInt32(match, true) !== view.getInt32(read, true)) {
      read += misses >>> SKIP_BITS;
      misses += 1;
      continue;
    }
    let start = read;
    while (start > anchor && match > historyStart && view.getUint8(start - 1) === view.getUint8(match - 1)) {
      start -= 1;
      match -= 1;
    }
    const offset = start - match;
    const end = endOfMatch(view, read + MIN_MATCH, offset, lastMatchEnd);
    write = writeSequence(source, anchor, start, offset, end - start, target, write, limit);
    if (write < 0) return -1;
    anchor = end;
    read = end;
    misses = 1 << SKIP_BITS;
    if (end <= lastStart) places[hashOf(view, end - 2)] = end - 2;
  }
  return writeLastLiterals(source, anchor, to, target, write, limit);
}

/**
 * Of the five bytes at `at`: the highest bits of their product with the multiplier, modulo 2^40. One instruction where
 * there are numbers of 64 bits; here the product is made of three parts that are exact in a double.
 */
function hashOf(view: DataView, at: number): number {
  const low = view.getUint16(at, true) * HASH_MULTIPLIER;
  const middle = Math.imul(view.getUint16(at + 2, true), HASH_MULTIPLIER) & 0xff_ffff;
  const high = (view.getUint8(at + 4) * (HASH_MULTIPLIER & 0xff)) & 0xff;
  const product = low + middle * 2 ** 16 + high * 2 ** 32;
  return Math.floor(product / 2 ** (40 - HASH_BITS)) & (2 ** HASH_BITS - 1);
}

/** First index from `at` on where the bytes differ from those `offset` before, or `limit`. */
function endOfMatch(view: DataView, at: number, offset: number, limit: number): number {
  let end = at;
  for (; end <= limit - 4; end += 4) {
    const difference = view.getInt32(end, true) ^ view.getInt32(end - offset, true);
    // The lowest bit that differs tells how many whole bytes are equal.
    if (difference !== 0) return end + ((31 - Math.clz32(difference & -difference)) >>> 3);
  }
  while (end < limit && view.getUint8(end) === view.getUint8(end - offset)) end += 1;
  return end;
}

/** Writes the literals `source[from, to)` and a match. Returns the end, or -1 when there is no room for it. */
function writeSequence(
  source: Memory,
  from: number,
  to: number,
  offset: number,
  matchLength: number,
  target: Memory,
  at: number,
  limit: number,
): number {
  const literals = to - from;
  const rest = matchLength - MIN_MATCH;
  // Token, offset, one byte more for each length, and 7 for literals copied in words.
  if (at + 12 + literals + Math.floor(literals / 255) + Math.floor(rest / 255) > limit) return -1;
  const { view } = target;
  view.setUint8(at, (Math.min(literals, 15) << 4) | Math.min(rest, 15));
  let write = literals < 15 ? at + 1 : writeLength(view, at + 1, literals - 15);
  if (literals > LONG_RUN) target.bytes.set(source.bytes.subarray(from, to), write);
  else {
    // Words may reach up to 7 bytes beyond the literals: those are read from the match, and written again below or
    // later.
    for (let done = 0; done < literals; done += 8) {
      view.setInt32(write + done, source.view.getInt32(from + done, true), true);
      view.setInt32(write + done + 4, source.view.getInt32(from + done + 4, true), true);
    }
  }
  write += literals;
  view.setUint16(write, offset, true);
  return rest < 15 ? write + 2 : writeLength(view, write + 2, rest - 15);
}

function writeLastLiterals(
  source: Memory,
  from: number,
  to: number,
  target: Memory,
  at: number,
  limit: number,
): number {
  const literals = to - from;
  if (at + 2 + literals + Math.floor(literals / 255) > limit) return -1;
  target.view.setUint8(at, Math.min(literals, 15) << 4);
  const write = literals < 15 ? at + 1 : writeLength(target.view, at + 1, literals - 15);
  target.bytes.set(source.bytes.subarray(from, to), write);
  return write + literals;
}

function writeLength(view: DataView, at: number, length: number): number {
  let write = at;
  let rest = length;
  for (; rest >= 255; rest -= 255, write += 1) view.setUint8(write, 255);
  view.setUint8(write, rest);
  return write + 1;
}
