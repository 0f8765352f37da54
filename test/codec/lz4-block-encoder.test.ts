import { describe, expect, it } from 'vitest';
import { encodeBlock, Lz4BlockTable } from '../../src/codec/lz4-block-encoder.ts';
import { allocate } from '../../src/codec/memory.ts';
import { compressed, decode, END } from './apple-stream.ts';
import { noise, prose } from './disk-data.ts';

const CANARY = 0xaa;

/** Noise and repetitions in turn: literal runs and matches of all lengths. */
const mixed = Buffer.concat(
  Array.from({ length: 40 }, (_, index) => [noise(index * 3, index), Buffer.alloc(index * 5, 'ab')]).flat(),
);

/** Encodes all of `input` with room for `room` bytes and canaries behind; -1 when it does not fit. */
function encodeInto(room: number, input: Buffer): { end: number; block: Buffer } {
  const source = allocate(input.length);
  source.bytes.set(input);
  const target = allocate(room + 64);
  target.bytes.fill(CANARY);
  const end = encodeBlock(new Lz4BlockTable(), source, 0, 0, input.length, target, 0, room);
  expect(target.bytes.subarray(room).every((byte) => byte === CANARY)).toBe(true);
  return { end, block: Buffer.from(target.bytes.subarray(0, Math.max(0, end))) };
}

describe.each([
  ['prose', prose(3000)],
  ['noise', noise(1000)],
  ['zeros', Buffer.alloc(5000)],
  ['all in turn', mixed],
])('a block of %s', (_, input) => {
  const roomy = encodeInto(2 * input.length, input);

  it('decodes to what it was', () => {
    expect(decode(Buffer.concat([compressed(input.length, roomy.block), END]), input.length).equals(input)).toBe(true);
  });

  it('is the same in any room that it fits into, says so when there is less, and never writes beyond', () => {
    for (let room = 0; room < roomy.end + 40; room += 1) {
      const { end, block } = encodeInto(room, input);
      if (end === -1) continue;
      expect(end).toBeLessThanOrEqual(room);
      expect(block.equals(roomy.block)).toBe(true);
    }
    expect(encodeInto(roomy.end - 1, input).end).toBe(-1);
    expect(encodeInto(roomy.end + 16, input).end).toBe(roomy.end);
  });
});
