import { describe, expect, it } from 'vitest';
import { AppleLz4Encoder } from '../../src/codec/apple-lz4-encoder.ts';
import { blocksOf, decode, END, encode, matchesOf } from './apple-stream.ts';
import { diskData, noise, prose } from './disk-data.ts';

const BLOCK = 65_536;

describe('the stream', () => {
  it('of nothing is the end marker', () => {
    expect(encode(Buffer.alloc(0)).toString('latin1')).toBe('bv4$');
    expect(encode(Buffer.alloc(0), [0, 0]).toString('latin1')).toBe('bv4$');
  });

  it('of what cannot be compressed is what it was', () => {
    expect(encode(Buffer.from('Hello, World!\n')).toString('hex')).toBe(
      '6276342d0e00000048656c6c6f2c20576f726c64210a62763424',
    );
  });

  it('of a short repetition is one compressed block', () => {
    // 1 literal, 58 more by a match at offset 1, 5 literals.
    expect(encode(Buffer.alloc(64, 'a')).toString('hex')).toBe(
      '62763431400000000b0000001f6101002750616161616162763424',
    );
  });

  it('of a megabyte of zeros is 16 blocks of 275 bytes', () => {
    const stream = encode(Buffer.alloc(16 * BLOCK));
    expect(blocksOf(stream).map(({ kind, size, payload }) => [kind, size, payload.length])).toEqual(
      Array.from({ length: 16 }, () => ['bv41', BLOCK, 267]),
    );
  });

  it.each([1, 12, 13, 65_535, 65_536, 65_537, 131_072, 3 * 65_536 + 7])(
    'of %i bytes has blocks of 64 KiB, a shorter last one, and never an empty one (tart-formats §5.4)',
    (size) => {
      for (const input of [noise(size), prose(size), Buffer.alloc(size), diskData(size)]) {
        const sizes = blocksOf(encode(input)).map((block) => block.size);
        const full = Math.floor(size / BLOCK);
        expect(sizes).toEqual([
          ...Array.from({ length: full }, () => BLOCK),
          ...(size % BLOCK === 0 ? [] : [size % BLOCK]),
        ]);
      }
    },
  );

  it('stores a block that would not become smaller: noise costs 8 bytes per block', () => {
    const input = noise(3 * BLOCK + 100);
    const stream = encode(input);
    expect(blocksOf(stream).map(({ kind }) => kind)).toEqual(['bv4-', 'bv4-', 'bv4-', 'bv4-']);
    expect(stream.length).toBe(input.length + 4 * 8 + 4);
  });

  it('never makes a compressed block that a stored one would beat, header included', () => {
    for (let compressible = 0; compressible < 40; compressible += 1) {
      const input = Buffer.concat([noise(1000), Buffer.alloc(compressible, 'x')]);
      expect(encode(input).length).toBeLessThanOrEqual(input.length + 8 + 4);
    }
  });

  it('is smaller when blocks have something in common', () => {
    const half = noise(BLOCK / 2);
    const sizes = blocksOf(encode(Buffer.concat([half, half, half, half]))).map(({ payload }) => payload.length);
    expect(sizes[0]).toBeGreaterThan(BLOCK / 2);
    expect(sizes[1]).toBeLessThan(BLOCK / 50);
  });
});

describe('the blocks', () => {
  const input = Buffer.concat([
    // A block that must be stored, then one that repeats half of it: it may not refer to it all the same.
    noise(BLOCK, 9),
    noise(BLOCK, 9).subarray(BLOCK / 2),
    prose(BLOCK / 2),
    diskData(40 * BLOCK + 777),
    prose(5 * BLOCK),
    noise(4 * BLOCK),
    prose(3 * BLOCK + 9, 2),
  ]);
  const blocks = blocksOf(encode(input));

  it('of this input are of both kinds, after each other in either order', () => {
    const orders = new Set(blocks.slice(1).map(({ kind }, index) => `${blocks[index]?.kind} ${kind}`));
    expect([...orders].sort()).toEqual(['bv4- bv4-', 'bv4- bv41', 'bv41 bv4-', 'bv41 bv41']);
  });

  it('end as the format demands: 5 literals, and no match begins in the last 12 bytes', () => {
    for (const { kind, size, payload } of blocks) {
      if (kind === 'bv4-') continue;
      const { matches, lastLiterals } = matchesOf(payload);
      expect(lastLiterals).toBeGreaterThanOrEqual(5);
      expect(Math.max(0, ...matches.map(({ at }) => at))).toBeLessThanOrEqual(size - 12);
    }
  });

  it('refer to the block before, when that is a full compressed one, and to nothing else', () => {
    let reaching = 0;
    for (const [index, { kind, payload }] of blocks.entries()) {
      if (kind === 'bv4-') continue;
      const before = blocks[index - 1];
      const reach = before?.kind === 'bv41' && before.size === BLOCK ? BLOCK : 0;
      const furthest = Math.max(0, ...matchesOf(payload).matches.map(({ at, offset }) => offset - at));
      expect(furthest).toBeLessThanOrEqual(reach);
      if (furthest > 0) reaching += 1;
    }
    expect(reaching).toBeGreaterThan(10);
  });
});

it('what repeats exactly 64 KiB later is one byte too far away for a match', () => {
  const block = Buffer.concat([noise(8000), Buffer.alloc(BLOCK - 8000)]);
  const input = Buffer.concat([block, block, block]);
  expect(decode(encode(input), input.length).equals(input)).toBe(true);
});

describe('however the input is split', () => {
  const input = diskData(5 * BLOCK + 321);
  const whole = encode(input);

  it.each([
    ['at block borders', [BLOCK, 2 * BLOCK, 3 * BLOCK]],
    ['beside block borders', [BLOCK - 1, BLOCK + 1, 2 * BLOCK - 1, 2 * BLOCK + 1]],
    ['into crumbs', Array.from({ length: 2000 }, (_, index) => index * 167)],
    ['with empty pieces', [0, 0, 100, 100, 100, BLOCK, BLOCK]],
  ])('%s, the bytes are the same', (_, cuts) => {
    expect(encode(input, cuts).equals(whole)).toBe(true);
  });

  it('blocks are handed out as soon as they are full', () => {
    const counts: number[] = [];
    const encoder = new AppleLz4Encoder((bytes) => counts.push(bytes.length));
    encoder.push(noise(BLOCK - 1));
    expect(counts).toEqual([]);
    encoder.push(noise(2));
    expect(counts).toEqual([BLOCK + 8]);
    encoder.finish();
    expect(counts).toEqual([BLOCK + 8, 9, 4]);
  });
});

it('a stream of more than a gigabyte goes on referring to the right bytes', () => {
  const text = prose(3 * BLOCK);
  const zeros = Buffer.alloc(BLOCK);
  const gigabyte = 2 ** 30 / BLOCK;
  const tail: Buffer[] = [];
  let seen = 0;
  const encoder = new AppleLz4Encoder((bytes) => {
    seen += 1;
    if (seen > gigabyte) tail.push(Buffer.from(bytes));
  });
  encoder.push(text.subarray(0, 2 * BLOCK));
  for (let index = 2; index < gigabyte - 1; index += 1) encoder.push(zeros);
  encoder.push(text);
  encoder.finish();
  // The tail begins with the second block of the text, whose history is the first.
  const before = encode(text.subarray(0, BLOCK)).subarray(0, -4);
  expect(decode(Buffer.concat([before, ...tail]), text.length).equals(text)).toBe(true);
  const third = blocksOf(Buffer.concat(tail))[1];
  expect(third?.kind).toBe('bv41');
  expect(matchesOf(third?.payload ?? END).matches.some(({ at, offset }) => offset > at)).toBe(true);
});

describe('an encoder is spent', () => {
  it('after its end: there is one end marker', () => {
    const encoder = new AppleLz4Encoder(() => {});
    encoder.finish();
    expect(() => encoder.finish()).toThrow('an LZ4 stream was written to after its end');
    expect(() => encoder.push(Buffer.of(1))).toThrow('an LZ4 stream was written to after its end');
  });

  it('after its sink failed: what followed would have a gap', () => {
    const encoder = new AppleLz4Encoder(() => {
      throw new Error('the disk is full');
    });
    expect(() => encoder.push(noise(BLOCK))).toThrow('the disk is full');
    expect(() => encoder.push(noise(BLOCK))).toThrow('an LZ4 stream was written to after its end or a failure');
    expect(() => encoder.finish()).toThrow('an LZ4 stream was written to after its end or a failure');
  });
});
