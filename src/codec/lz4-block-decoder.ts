import { corrupt } from './apple-lz4-format.ts';
import type { Memory } from './memory.ts';

/**
 * Longer runs are worth a call into the engine's memmove; shorter ones are copied here, eight bytes at a time
 * (measured).
 */
const LONG_RUN = 64;

/** A match is at least this long; its length is stored less by it (LZ4 block format). */
const MIN_MATCH = 4;

/**
 * Decodes one raw LZ4 block, `input[from, to)`, into exactly `output[at, end)`. Matches may reach back to the beginning
 * of `output`: what stands before `at` is the history. Writes nothing outside `[at, end)`, whatever the input.
 *
 * @param origin position of `input[0]` in the stream, for the message.
 * @throws TartletError `CHUNK_CORRUPT` when the block is not valid, does not fill `[at, end)` or does not end at `to`
 *   (reliability C2). `[at, end)` then holds anything.
 */
export function decodeBlock(
  input: Memory,
  from: number,
  to: number,
  output: Memory,
  at: number,
  end: number,
  origin: number,
): void {
  const source = input.view;
  let read = from;
  let write = at;
  for (;;) {
    if (read >= to) throw corrupt(origin + read, 'a block ends where its last literals should begin');
    const token = source.getUint8(read);
    read += 1;

    let literals = token >>> 4;
    if (literals === 15) {
      let more = 255;
      for (; more === 255; read += 1, literals += more) {
        if (read >= to) throw corrupt(origin + read, 'the length of a literal run goes on past its block');
        more = source.getUint8(read);
      }
    }
    if (literals > to - read) throw corrupt(origin + read, `a run of ${literals} literals goes on past its block`);
    if (literals > end - write) throw corrupt(origin + read, 'a block decodes to more than it declares');
    copyLiterals(input, read, to, output, write, write + literals, end);
    read += literals;
    write += literals;

    if (read === to) {
      if (write !== end) throw corrupt(origin + to, `a block decodes to ${write - at} bytes, it declares ${end - at}`);
      return;
    }
    if (to - read < 2) throw corrupt(origin + read, 'the offset of a match goes on past its block');
    const offset = source.getUint16(read, true);
    if (offset === 0) throw corrupt(origin + read, 'a match has offset 0');
    if (offset > write) {
      throw corrupt(origin + read, `a match reaches ${offset} bytes back, where only ${write} are`);
    }
    read += 2;

    let length = (token & 15) + MIN_MATCH;
    if (length === 15 + MIN_MATCH) {
      let more = 255;
      for (; more === 255; read += 1, length += more) {
        if (read >= to) throw corrupt(origin + read, 'the length of a match goes on past its block');
        more = source.getUint8(read);
      }
    }
    if (length > end - write) throw corrupt(origin + read, 'a block decodes to more than it declares');
    const stop = write + length;
    copyMatch(output, write, stop, offset, end);
    write = stop;
  }
}

/**
 * Copies `input[from …]` to `output[at, stop)`. May write up to 7 bytes more, which later sequences write again, but
 * neither reads past `to` nor writes past `end`.
 */
function copyLiterals(
  input: Memory,
  from: number,
  to: number,
  output: Memory,
  at: number,
  stop: number,
  end: number,
): void {
  const length = stop - at;
  if (length > LONG_RUN) {
    output.bytes.set(input.bytes.subarray(from, from + length), at);
    return;
  }
  const source = input.view;
  const target = output.view;
  let read = from;
  let write = at;
  if (stop <= end - 8 && from + length <= to - 8) {
    for (; write < stop; write += 8, read += 8) {
      target.setInt32(write, source.getInt32(read, true), true);
      target.setInt32(write + 4, source.getInt32(read + 4, true), true);
    }
  } else {
    for (; write < stop; write += 1, read += 1) target.setUint8(write, source.getUint8(read));
  }
}

/**
 * Fills `output[at, stop)` with what stands `offset` bytes before; may write up to 7 bytes more, but not past `end`.
 */
function copyMatch(output: Memory, at: number, stop: number, offset: number, end: number): void {
  if (stop - at > LONG_RUN) {
    repeatLong(output.bytes, at, stop, offset);
    return;
  }
  const target = output.view;
  let write = at;
  if (offset >= 4 && stop <= end - 8) {
    for (; write < stop; write += 8) {
      target.setInt32(write, target.getInt32(write - offset, true), true);
      target.setInt32(write + 4, target.getInt32(write + 4 - offset, true), true);
    }
  } else {
    for (; write < stop; write += 1) target.setUint8(write, target.getUint8(write - offset));
  }
}

/**
 * Fills `bytes[at, stop)` with what stands `offset` bytes before, over and over: the piece to copy doubles each time.
 */
function repeatLong(bytes: Uint8Array, at: number, stop: number, offset: number): void {
  if (offset === 1) {
    bytes.fill(bytes[at - 1] ?? 0, at, stop);
    return;
  }
  let ready = offset;
  for (let write = at; write < stop; ready *= 2) {
    const take = Math.min(ready, stop - write);
    bytes.copyWithin(write, write - ready, write - ready + take);
    write += take;
  }
}
