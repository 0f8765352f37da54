import { describe, expect, it } from 'vitest';
import { decodeBlock } from '../../src/codec/lz4-block-decoder.ts';
import { allocate, type Memory } from '../../src/codec/memory.ts';

const CANARY = 0xaa;

/** Decodes from the very end of memory into the middle of memory full of canaries, after `history`. */
function run(payload: Uint8Array, size: number, history: Uint8Array): { output: Buffer; error: unknown } {
  const input = allocate(payload.length + 16);
  input.bytes.fill(CANARY);
  input.bytes.set(payload, 16);
  const output: Memory = allocate(history.length + size + 64);
  output.bytes.fill(CANARY);
  output.bytes.set(history);
  const end = history.length + size;
  let error: unknown;
  try {
    decodeBlock(input, 16, 16 + payload.length, output, history.length, end, 1000 - 16);
  } catch (thrown) {
    error = thrown;
  }
  expect(output.bytes.subarray(end).every((byte) => byte === CANARY)).toBe(true);
  expect(Buffer.compare(output.bytes.subarray(0, history.length), history)).toBe(0);
  return { output: Buffer.from(output.bytes.subarray(history.length, end)), error };
}

/** A length as token nibble and further bytes. */
function length(value: number): { nibble: number; more: number[] } {
  if (value < 15) return { nibble: value, more: [] };
  const rest = value - 15;
  return { nibble: 15, more: [...Array.from({ length: Math.floor(rest / 255) }, () => 255), rest % 255] };
}

function sequence(literals: Uint8Array, offset: number, matchLength: number): Buffer {
  const first = length(literals.length);
  const second = length(matchLength - 4);
  const token = (first.nibble << 4) | second.nibble;
  return Buffer.from([token, ...first.more, ...literals, offset & 255, offset >> 8, ...second.more]);
}

function lastLiterals(literals: Uint8Array): Buffer {
  const { nibble, more } = length(literals.length);
  return Buffer.from([nibble << 4, ...more, ...literals]);
}

const counting = Buffer.from(Uint8Array.from({ length: 700 }, (_, index) => index % 251));

describe('every run is copied as the format says', () => {
  it('matches of any length at any offset, those that overlap themselves included', () => {
    const lengths = [...Array.from({ length: 90 }, (_, index) => index + 4), 127, 128, 129, 273, 274, 275, 529, 1000];
    for (const offset of [...Array.from({ length: 80 }, (_, index) => index + 1), 255, 256, 300, 700]) {
      const longest = Buffer.from(
        Array.from({ length: 1000 }, (_, index) => counting[700 - offset + (index % offset)]!),
      );
      for (const matchLength of lengths) {
        for (const tail of [5, 13]) {
          const last = counting.subarray(0, tail);
          const payload = Buffer.concat([sequence(Buffer.alloc(0), offset, matchLength), lastLiterals(last)]);
          const { output, error } = run(payload, matchLength + tail, counting);
          expect(error).toBeUndefined();
          if (!output.equals(Buffer.concat([longest.subarray(0, matchLength), last]))) {
            throw new Error(`wrong bytes: offset ${offset}, length ${matchLength}, tail ${tail}`);
          }
        }
      }
    }
  });

  it('literal runs of any length, in the middle and at the end', () => {
    for (let size = 0; size <= 600; size += 1) {
      const literals = counting.subarray(0, size);
      const payload = Buffer.concat([sequence(literals, 7, 9), lastLiterals(literals)]);
      const { output, error } = run(payload, 2 * size + 9, counting);
      expect(error).toBeUndefined();
      const before = Buffer.concat([counting, literals]);
      const match = Array.from({ length: 9 }, (_, index) => before[before.length - 7 + (index % 7)]!);
      expect(output.equals(Buffer.from([...literals, ...match, ...literals]))).toBe(true);
    }
  });
});

/** Each case stands after a history of `0123456789`; positions count from 1000. */
describe('a broken block is refused, with the byte (C2, S23)', () => {
  const bytes = (...parts: (string | readonly number[])[]): Buffer =>
    Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from(part))));

  it.each([
    ['nothing', bytes(), 5, '1000: a block ends where its last literals should begin'],
    ['literals without end', bytes([0x50], 'abcd'), 5, '1001: a run of 5 literals goes on past its block'],
    [
      'length bytes without end',
      bytes([0xf0], [255, 255]),
      600,
      '1003: the length of a literal run goes on past its block',
    ],
    ['no length byte', bytes([0xf0]), 15, '1001: the length of a literal run goes on past its block'],
    ['literals past the size', bytes([0x50], 'abcde'), 4, '1001: a block decodes to more than it declares'],
    ['literals short of the size', bytes([0x50], 'abcde'), 6, '1006: a block decodes to 5 bytes, it declares 6'],
    ['literals far short of the size', bytes([0x50], 'abcde'), 99, '1006: a block decodes to 5 bytes, it declares 99'],
    ['half an offset', bytes([0x10], 'a', [1]), 20, '1002: the offset of a match goes on past its block'],
    ['offset 0', bytes([0x10], 'a', [0, 0], [0x50], 'abcde'), 10, '1002: a match has offset 0'],
    [
      'a match before the history',
      bytes([0x10], 'a', [12, 0], [0x50], 'abcde'),
      10,
      '1002: a match reaches 12 bytes back, where only 11 are',
    ],
    [
      'a match past the size',
      bytes([0x14], 'a', [1, 0], [0x10], 'z'),
      8,
      '1004: a block decodes to more than it declares',
    ],
    [
      'match length without end',
      bytes([0x1f], 'a', [1, 0], [255]),
      900,
      '1005: the length of a match goes on past its block',
    ],
    ['a match at the end', bytes([0x14], 'a', [1, 0]), 9, '1004: a block ends where its last literals should begin'],
    [
      'bytes after the last literals',
      bytes([0x50], 'abcde', [0]),
      5,
      '1006: the offset of a match goes on past its block',
    ],
    [
      'a sequence after the last literals',
      bytes([0x50], 'abcde', [1, 0], [0x10], 'z'),
      5,
      '1008: a block decodes to more than it declares',
    ],
  ])('%s', (_, payload, size, message) => {
    const { error } = run(payload, size, Buffer.from('0123456789'));
    expect(error).toMatchObject({
      code: 'CHUNK_CORRUPT',
      message: `the LZ4 stream is broken at byte ${message}`,
    });
  });

  it('a length of 16 million length bytes is added up without wrapping', () => {
    const payload = Buffer.alloc(17_000_000, 255);
    payload[0] = 0xf0;
    payload[16_900_000] = 7;
    const { error } = run(payload, 100, Buffer.alloc(0));
    expect(error).toMatchObject({
      message: expect.stringContaining('a run of 4309499767 literals goes on past its block'),
    });
  });
});
