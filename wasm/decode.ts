const MIN_MATCH: usize = 4;

/**
 * Most sequences have at most 14 literals and a match of at most 18 bytes: so much input, and so much output, is enough
 * for one.
 */
const USUAL_ENCODED: usize = 14 + 2;
const USUAL_DECODED: usize = 14 + 18;

/** Longer runs are worth a call of the engine's own copy. */
const LONG_RUN: usize = 256;

/**
 * For each offset below 16 the order in which 16 bytes repeat that many: what stands before a match, made a whole
 * vector. `PATTERNS[offset * 16 + i] = i % offset`
 */
const PATTERNS = memory.data<u8>([
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0,
  1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1,
  2, 3, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 0, 1, 2, 3, 4,
  5, 6, 0, 1, 2, 3, 4, 5, 6, 0, 1, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2,
  3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 1, 2, 3, 4, 0, 1, 2,
  3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 1, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8,
  9, 10, 11, 12, 13, 0, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0,
]);

/**
 * Decodes the raw LZ4 block `[read, to)` into exactly `[write, end)`; matches reach back to `base` at most. False when
 * the block is not valid: `[write, end)` then holds anything. Copies whole vectors, so up to 31 bytes behind `to` are
 * read and up to 31 behind `end` written: both must be memory that holds nothing of worth.
 */
export function decodeBlock(read: usize, to: usize, base: usize, write: usize, end: usize): bool {
  while (read < to) {
    const token = <usize>load<u8>(read);
    read += 1;
    let literals = token >> 4;
    if (literals < 15 && read + USUAL_ENCODED <= to && write + USUAL_DECODED <= end) {
      v128.store(write, v128.load(read));
      read += literals;
      write += literals;
      const offset = <usize>load<u16>(read);
      const length = token & 15;
      if (length < 15 && offset >= 16 && offset <= write - base) {
        const match = write - offset;
        v128.store(write, v128.load(match));
        store<u16>(write, load<u16>(match, 16), 16);
        read += 2;
        write += length + MIN_MATCH;
        continue;
      }
    } else {
      if (literals == 15) {
        let more: usize = 255;
        while (more == 255) {
          if (read >= to) return false;
          more = <usize>load<u8>(read);
          read += 1;
          literals += more;
        }
      }
      // Both differences are never negative here, so a length that is too large is larger than either.
      if (literals > to - read || literals > end - write) return false;
      copyLiterals(write, read, literals);
      read += literals;
      write += literals;
      if (read == to) return write == end;
      if (to - read < 2) return false;
    }
    const offset = <usize>load<u16>(read);
    if (offset == 0 || offset > write - base) return false;
    read += 2;

    let length = (token & 15) + MIN_MATCH;
    if (length == 15 + MIN_MATCH) {
      let more: usize = 255;
      while (more == 255) {
        if (read >= to) return false;
        more = <usize>load<u8>(read);
        read += 1;
        length += more;
      }
    }
    if (length > end - write) return false;
    copyMatch(write, offset, length);
    write += length;
  }
  // A block ends with literals, even if there are none of them.
  return false;
}

function copyLiterals(write: usize, read: usize, length: usize): void {
  if (length > LONG_RUN) {
    memory.copy(write, read, length);
    return;
  }
  const stop = write + length;
  do {
    v128.store(write, v128.load(read));
    write += 16;
    read += 16;
  } while (write < stop);
}

function copyMatch(write: usize, offset: usize, length: usize): void {
  const stop = write + length;
  if (offset >= 16) {
    if (length > LONG_RUN && offset >= length) {
      memory.copy(write, write - offset, length);
      return;
    }
    let at = write;
    do {
      v128.store(at, v128.load(at - offset));
      at += 16;
    } while (at < stop);
  } else if (offset == 1 && length > LONG_RUN) {
    memory.fill(write, load<u8>(write - 1), length);
  } else {
    const pattern = v128.swizzle(v128.load(write - offset), v128.load(PATTERNS + (offset << 4)));
    const step: usize = 16 - (16 % <i32>offset);
    let at = write;
    do {
      v128.store(at, pattern);
      at += step;
    } while (at < stop);
  }
}
