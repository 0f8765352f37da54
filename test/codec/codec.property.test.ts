import { fc, it } from '@fast-check/vitest';
import { describe, expect } from 'vitest';
import { TartletError } from '../../src/errors.ts';
import { blocksOf, compressed, decode, encode, END, stored, tryDecode } from './apple-stream.ts';
import { diskData, noise, prose } from './disk-data.ts';

const size = fc.oneof(
  fc.constantFrom(0, 1, 12, 13, 65_535, 65_536, 65_537, 3 * 65_536 + 7),
  fc.nat(200),
  fc.nat(300_000),
);
const seed = fc.nat(1_000_000);
const content = fc.oneof(
  fc.tuple(size, seed).map(([length, start]) => diskData(length, start)),
  fc.tuple(size, seed).map(([length, start]) => prose(length, start)),
  fc.tuple(size, seed).map(([length, start]) => noise(length, start)),
  size.map((length) => Buffer.alloc(length)),
  fc
    .array(fc.tuple(fc.nat(20_000), fc.nat(3)), { maxLength: 30 })
    .map((runs) => Buffer.concat(runs.map(([length, byte]) => Buffer.alloc(length, byte)))),
  fc.uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes)),
);
const cuts = fc.array(fc.nat(300_000), { maxLength: 40 });

describe('any bytes', () => {
  it.prop([content, cuts, cuts], { numRuns: 200 })(
    'come back from the stream that they become, both split anywhere',
    (raw, rawCuts, streamCuts) => {
      const stream = encode(raw, rawCuts);
      expect(stream.equals(encode(raw))).toBe(true);
      expect(decode(stream, raw.length, streamCuts).equals(raw)).toBe(true);
    },
  );

  it.prop([content], { numRuns: 200 })('cost at most 8 bytes per block and 4 at the end', (raw) => {
    const stream = encode(raw);
    expect(stream.length).toBeLessThanOrEqual(raw.length + 8 * Math.ceil(raw.length / 65_536) + 4);
    expect(blocksOf(stream).every((block) => block.size > 0)).toBe(true);
  });
});

/** Short streams with blocks of both kinds and of all sizes, so that a mutation often hits something that matters. */
const shortStream = fc
  .array(
    fc.oneof(
      fc.tuple(fc.integer({ min: 1, max: 600 }), seed).map(([length, start]) => {
        const [block] = blocksOf(encode(prose(length, start)));
        if (block === undefined) throw new Error('an input of one byte and more has a block');
        const bytes = block.kind === 'bv41' ? compressed(block.size, block.payload) : stored(block.payload);
        return { bytes, size: block.size };
      }),
      fc.uint8Array({ minLength: 1, maxLength: 50 }).map((bytes) => ({ bytes: stored(bytes), size: bytes.length })),
    ),
    { minLength: 1, maxLength: 8 },
  )
  .map((blocks) => ({
    stream: Buffer.concat([...blocks.map(({ bytes }) => bytes), END]),
    size: blocks.reduce((sum, block) => sum + block.size, 0),
  }));

type Mutation = readonly [kind: 'set' | 'insert' | 'remove' | 'repeat', at: number, value: number];
const mutation: fc.Arbitrary<Mutation> = fc.tuple(
  fc.constantFrom('set', 'set', 'set', 'insert', 'remove', 'repeat'),
  fc.nat(),
  fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 15, 127, 128, 240, 254, 255)),
);

function mutate(stream: Buffer, [kind, where, value]: Mutation): Buffer {
  const at = where % (stream.length + 1);
  const [head, tail] = [stream.subarray(0, at), stream.subarray(at)];
  switch (kind) {
    case 'set':
      return Buffer.concat([head, Buffer.of(value), tail.subarray(1)]);
    case 'insert':
      return Buffer.concat([head, Buffer.of(value), tail]);
    case 'remove':
      return Buffer.concat([head, tail.subarray(value % 20)]);
    case 'repeat':
      return Buffer.concat([head, tail.subarray(0, value), tail]);
  }
}

/** What every decoding must keep to, whatever the bytes were. */
function expectOrder(stream: Buffer, promised: number, streamCuts: readonly number[] = []): void {
  const { error, output } = tryDecode(stream, promised, streamCuts);
  expect(output.length).toBeLessThanOrEqual(promised);
  if (error === undefined) expect(output.length).toBe(promised);
  else {
    expect(error).toBeInstanceOf(TartletError);
    expect(['CHUNK_CORRUPT', 'SIZE_MISMATCH']).toContain((error as TartletError).code);
  }
}

describe('a damaged stream decodes to the promised size or is refused, and never crashes', () => {
  it.prop([shortStream, fc.array(mutation, { minLength: 1, maxLength: 3 }), cuts], { numRuns: 2000 })(
    'when bytes were changed, inserted, removed or repeated',
    ({ stream, size: promised }, mutations, streamCuts) => {
      expectOrder(mutations.reduce(mutate, stream), promised, streamCuts);
    },
  );

  it.prop([fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 1, max: 3000 })], { numRuns: 2000 })(
    'when the payload of a block is made up',
    (payload, declared) => {
      const history = prose(300);
      const stream = Buffer.concat([stored(history), compressed(declared, payload), stored(history), END]);
      expectOrder(stream, declared + 600);
    },
  );

  it.prop(
    [
      fc.array(fc.constantFrom('bv41', 'bv4-', 'bv4$', '\0\0\0\0', '\x05\0\0\0', '\xff\xff\xff\xff', 'bvx'), {
        maxLength: 12,
      }),
    ],
    {
      numRuns: 1000,
    },
  )('when it is a heap of headers', (words) => {
    expectOrder(Buffer.from(words.join(''), 'latin1'), 100);
  });

  it.prop([shortStream, fc.nat()], { numRuns: 300 })('when it is cut short', ({ stream, size: promised }, where) => {
    const { error } = tryDecode(stream.subarray(0, where % stream.length), promised);
    expect(error).toMatchObject({ code: 'CHUNK_CORRUPT' });
  });
});
