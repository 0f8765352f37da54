import { fc } from '@fast-check/vitest';
import { expect } from 'vitest';
import { compressed, cut, encode, END, stored, tryDecode } from '../codec/apple-stream.ts';
import { TartletError } from '../../src/errors.ts';
import { fuzz, nearlyBytes } from './fuzzing.ts';
import { plainDecode } from './plain-lz4.ts';

/** Bytes that compress: runs of a few different bytes. */
const content = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 80 }), fc.nat(5)), { minLength: 1, maxLength: 12 })
  .map((runs) => Buffer.concat(runs.map(([length, byte]) => Buffer.alloc(length, byte === 5 ? 'abcdef' : byte))));
/** Payloads made of tokens, lengths and offsets that often fit together. */
const payload = fc
  .array(fc.tuple(fc.constantFrom(0x10, 0x11, 0x1f, 0x20, 0x34, 0xf0, 0x00), fc.uint8Array({ maxLength: 6 })), {
    minLength: 1,
    maxLength: 6,
  })
  .map((parts) => Buffer.concat(parts.map(([token, bytes]) => Buffer.from([token, ...bytes]))));
const block = fc.oneof(
  content.map((bytes) => ({ bytes: encode(bytes).subarray(0, -END.length), size: bytes.length })),
  content.map((bytes) => ({ bytes: stored(bytes), size: bytes.length })),
  fc.tuple(payload, fc.integer({ min: 1, max: 60 })).map(([bytes, size]) => ({ bytes: compressed(size, bytes), size })),
);
const stream = fc.array(block, { maxLength: 5 }).map((blocks) => ({
  bytes: Buffer.concat([...blocks.map(({ bytes }) => bytes), END]),
  size: blocks.reduce((sum, { size }) => sum + size, 0),
}));

fuzz(
  'an LZ4 stream decodes to what the plain decoder makes of it, or both refuse it (S23, C2, C5)',
  [
    stream.chain(({ bytes, size }) => fc.tuple(nearlyBytes(fc.constant(bytes)), fc.constant(size))),
    fc.array(fc.nat(2000), { maxLength: 5 }),
  ],
  ([bytes, size], cuts) => {
    // A decoder is only made for chunks that are to have bytes.
    if (size === 0) return;
    const plain = plainDecode(bytes, size);
    const { output, error } = tryDecode(bytes, size, cuts);
    if (error === undefined) expect(plain).toEqual({ bytes: [...output] });
    else {
      expect(error).toBeInstanceOf(TartletError);
      expect(plain).toBe('refused');
    }
  },
  1500,
);

fuzz(
  'an LZ4 stream never gives out more than was promised, nor bytes that were not in it (S21, S23)',
  [fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 5000 }), fc.array(fc.nat(300), { maxLength: 3 })],
  (bytes, promised, cuts) => {
    const { output } = tryDecode(Buffer.concat(cut(bytes, cuts)), promised);
    expect(output.length).toBeLessThanOrEqual(promised);
  },
  1000,
);
