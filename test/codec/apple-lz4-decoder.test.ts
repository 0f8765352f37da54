import { describe, expect, it } from 'vitest';
import { AppleLz4Decoder } from '../../src/codec/apple-lz4-decoder.ts';
import { TartletError } from '../../src/errors.ts';
import { compressed, cut, decode, encode, END, refusal, stored, tryDecode, u32 } from './apple-stream.ts';
import { diskData, noise, prose } from './disk-data.ts';

/** tart-formats §10.3. H was made by Apple's encoder. */
const H = {
  stream: '6276342d0e00000048656c6c6f2c20576f726c64210a62763424',
  output: 'Hello, World!\n',
};
/** A match from a compressed block into a stored one. */
const A = {
  stream: '6276342d100000003031323334353637383961626364656662763431170000000b0000002c58591200502d454e442d62763424',
  output: '0123456789abcdefXY0123456789abcdef-END-',
};
/** A match that reaches over a short stored block. */
const B = {
  stream:
    '6276342d100000003031323334353637383961626364656662763431170000000b0000002c58591200502d454e442d' +
    '6276342d040000005241572162763431140000000a0000001a5a0a00502e7461696c62763424',
  output: '0123456789abcdefXY0123456789abcdef-END-RAW!Z-END-RAW!Z-END.tail',
};
/** Blocks that do not need each other. */
const C = {
  stream:
    '62763431150000000d0000004861626364040050313233343562763431150000000d0000004861626364040050313233343562763424',
  output: 'abcdabcdabcdabcd12345abcdabcdabcdabcd12345',
};

const VECTORS = Object.entries({ H, A, B, C }).map(([name, { stream, output }]) => ({
  name,
  stream: Buffer.from(stream, 'hex'),
  output,
}));
const streamA = Buffer.from(A.stream, 'hex');
const KIB = 1024;
const MIB = 1024 * KIB;

describe('known streams', () => {
  it.each(VECTORS)('$name decodes to its text', ({ stream, output }) => {
    expect(decode(stream, output.length).toString()).toBe(output);
  });

  it.each(VECTORS)('$name decodes the same when split at any byte, or at all', ({ stream, output }) => {
    for (let at = 0; at <= stream.length; at += 1) expect(decode(stream, output.length, [at]).toString()).toBe(output);
    const everywhere = Array.from(stream.keys());
    expect(decode(stream, output.length, everywhere).toString()).toBe(output);
  });

  it.each(VECTORS)('$name is refused when cut short anywhere (C3)', ({ stream, output }) => {
    for (let length = 0; length < stream.length; length += 1) {
      expect(refusal(stream.subarray(0, length), output.length)).toEqual({
        code: 'CHUNK_CORRUPT',
        message: `the LZ4 stream is broken at byte ${length}: it is cut short, its end marker is missing`,
      });
    }
  });

  it.each(VECTORS)('$name is refused when its descriptor promises one byte more or less', ({ stream, output }) => {
    const size = output.length;
    expect(refusal(stream, size + 1)).toEqual({
      code: 'SIZE_MISMATCH',
      message: `the LZ4 stream decodes to ${size} bytes instead of ${size + 1}`,
    });
    const less = tryDecode(stream, size - 1);
    expect(less.error).toMatchObject({ code: 'SIZE_MISMATCH' });
    expect(less.output.length).toBeLessThan(size);
  });

  it('nothing at all is an end marker', () => {
    expect(decode(END, 0)).toHaveLength(0);
  });
});

describe('refuses', () => {
  it.each([
    ['nothing, not even an end marker', Buffer.alloc(0), 'byte 0: it is cut short, its end marker is missing'],
    [
      'a block after the end (C3)',
      Buffer.concat([streamA, stored(Buffer.from('x'))]),
      'byte 51: bytes follow its end marker',
    ],
    ['rubbish after the end', Buffer.concat([streamA, u32(0xefbeadde)]), 'byte 51: bytes follow its end marker'],
    ['one byte after the end', Buffer.concat([streamA, Buffer.alloc(1)]), 'byte 51: bytes follow its end marker'],
    ['a second end', Buffer.concat([streamA, END]), 'byte 51: bytes follow its end marker'],
    ['an LZ4 frame (C1)', Buffer.from('04224d186440', 'hex'), 'byte 0: a block cannot begin with 0x184d2204'],
    ['an LZFSE stream', Buffer.from('bvx-'), 'byte 0: a block cannot begin with 0x2d787662'],
    [
      'a gap of zeros',
      Buffer.concat([stored(Buffer.from('ab')), u32(0)]),
      'byte 10: a block cannot begin with 0x00000000',
    ],
    [
      'an empty stored block between others',
      Buffer.concat([stored(Buffer.from('ab')), stored(Buffer.alloc(0)), stored(Buffer.from('cd')), END]),
      'byte 10: a block declares 0 bytes',
    ],
    [
      'an empty compressed block',
      Buffer.concat([compressed(0, Buffer.of(0)), END]),
      'byte 0: a block declares 0 bytes',
    ],
    [
      'sizes whose 32-bit sum is small (C4)',
      compressed(0xffffffff, Buffer.alloc(2)),
      'byte 0: a block declares 4294967295 bytes, the limit is 16777216',
    ],
    [
      'a stored block just above 16 MiB',
      Buffer.concat([Buffer.from('bv4-'), u32(16 * MIB + 1)]),
      'byte 0: a block declares 16777217 bytes, the limit is 16777216',
    ],
    [
      '2^31 bytes (C4)',
      Buffer.concat([Buffer.from('bv4-'), u32(2 ** 31)]),
      'byte 0: a block declares 2147483648 bytes, the limit is 16777216',
    ],
    [
      'more payload than any encoder makes',
      compressed(1000, Buffer.alloc(0), 1020),
      'byte 0: a block cannot decode 1020 bytes to 1000',
    ],
    [
      'a payload of 4 GiB',
      compressed(1000, Buffer.alloc(0), 0xffffffff),
      'byte 0: a block cannot decode 4294967295 bytes to 1000',
    ],
    ['a payload of nothing', compressed(1, Buffer.alloc(0)), 'byte 0: a block cannot decode 0 bytes to 1'],
    [
      'a payload that cannot hold that much',
      compressed(16 * MIB, Buffer.alloc(0), 65_000),
      'byte 0: a block cannot decode 65000 bytes to 16777216',
    ],
    [
      'a match into what came before the stream (C2)',
      Buffer.concat([stored(Buffer.from('abcd')), compressed(13, Buffer.from('00050050313233343530', 'hex'))]),
      'byte 25: a match reaches 5 bytes back, where only 4 are',
    ],
  ])('%s', (_, stream, message) => {
    expect(refusal(stream, 2 ** 40)).toEqual({
      code: 'CHUNK_CORRUPT',
      message: `the LZ4 stream is broken at ${message}`,
    });
  });

  it('a block that declares one byte more or less than it has', () => {
    const payload = Buffer.from('48616263640400503132333435', 'hex');
    const block = (size: number): Buffer => Buffer.concat([compressed(size, payload), END]);
    expect(decode(block(21), 21).toString()).toBe('abcdabcdabcdabcd12345');
    expect(refusal(block(20), 20).message).toBe(
      'the LZ4 stream is broken at byte 20: a block decodes to more than it declares',
    );
    expect(refusal(block(22), 22).message).toBe(
      'the LZ4 stream is broken at byte 25: a block decodes to 21 bytes, it declares 22',
    );
  });

  it('a stored block that declares one byte more or less than it has', () => {
    const bytes = Buffer.from('Hello');
    const block = (size: number): Buffer => Buffer.concat([Buffer.from('bv4-'), u32(size), bytes, END, END]);
    expect(refusal(block(4), 4)).toMatchObject({
      code: 'CHUNK_CORRUPT',
      message: /byte 12: a block cannot begin with/u,
    });
    expect(refusal(block(6), 6)).toMatchObject({
      code: 'CHUNK_CORRUPT',
      message: /byte 14: a block cannot begin with/u,
    });
  });

  it('a size that is no size', () => {
    for (const expectedBytes of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
      expect(() => new AppleLz4Decoder({ expectedBytes, onOutput: () => {} })).toThrow(TartletError);
    }
  });
});

describe('the limit', () => {
  it('a block that would pass it is refused by its header, and nothing of it is handed out (C7)', () => {
    const first = noise(300 * KIB);
    const header = Buffer.concat([Buffer.from('bv4-'), u32(2)]);
    const { error, output } = tryDecode(Buffer.concat([stored(first), header]), first.length + 1);
    expect(error).toMatchObject({
      code: 'SIZE_MISMATCH',
      message: `the LZ4 stream decodes to more than 307201 bytes: at byte 307208 begins a block of 2 after 307200`,
    });
    expect(first.subarray(0, output.length).equals(output)).toBe(true);
  });

  it('a bomb of zeros is as large as promised, and not one byte larger (C6, S21)', () => {
    const zeros = encode(Buffer.alloc(64 * MIB));
    expect(zeros.length).toBeLessThan(300 * KIB);
    let decoded = 0;
    const onOutput = (bytes: Uint8Array, zero: boolean): void => {
      expect(zero).toBe(true);
      decoded += bytes.length;
    };
    const honest = new AppleLz4Decoder({ expectedBytes: 64 * MIB, onOutput });
    honest.push(zeros);
    honest.finish();
    expect(decoded).toBe(64 * MIB);
    decoded = 0;
    const bomb = new AppleLz4Decoder({ expectedBytes: 1 * MIB, onOutput });
    expect(() => bomb.push(zeros)).toThrow('decodes to more than 1048576 bytes');
    expect(decoded).toBeLessThanOrEqual(1 * MIB);
  });

  it('claims cost no memory before their bytes arrive (C4, S20)', () => {
    const arrived = noise(300 * KIB);
    const before = process.memoryUsage().arrayBuffers;
    const decoders = Array.from({ length: 20 }, () => {
      const decoder = new AppleLz4Decoder({ expectedBytes: 2 ** 40, onOutput: () => {} });
      decoder.push(compressed(16 * MIB, Buffer.alloc(0), 16 * MIB));
      decoder.push(arrived);
      return decoder;
    });
    expect((process.memoryUsage().arrayBuffers - before) / decoders.length).toBeLessThan(2 * MIB);
  });
});

describe('blocks of other sizes', () => {
  it.each([1, 13, 1000, 65_535, 65_537, 1 * MIB + 1, 16 * MIB])('stored blocks of %i bytes', (size) => {
    const bytes = Buffer.alloc(size, noise(99_991));
    const stream = Buffer.concat([stored(bytes), stored(bytes), stored(bytes), END]);
    expect(decode(stream, 3 * size, [1, 9, 70_000]).equals(Buffer.concat([bytes, bytes, bytes]))).toBe(true);
  });

  it('a compressed block of 16 MiB, after others, in pieces as they come from a network', () => {
    const head = prose(100_000);
    // One literal, a match of the rest at offset 1, five literals.
    const length = 16 * MIB - 6;
    const more = length - 19;
    const payload = Buffer.concat([
      Buffer.from('1f7a0100', 'hex'),
      Buffer.alloc(Math.floor(more / 255), 255),
      Buffer.of(more % 255),
      Buffer.from('50656e642e0a', 'hex'),
    ]);
    const stream = Buffer.concat([stored(head), compressed(16 * MIB, payload), stored(head), END]);
    const cuts = Array.from({ length: 20 }, (_, index) => index * 16_384);
    const output = decode(stream, 16 * MIB + 200_000, cuts);
    const expected = Buffer.concat([head, Buffer.alloc(16 * MIB - 5, 'z'), Buffer.from('end.\n'), head]);
    expect(output.equals(expected)).toBe(true);
  });

  it('the furthest match is good in every block, wherever the decoder puts it in memory', () => {
    let before = noise(64 * KIB);
    const blocks = [stored(before)];
    const outputs = [before];
    for (let index = 0; index < 40; index += 1) {
      // A match of all but five bytes at offset 65535, i.e. the block before from its second byte on.
      const last = Buffer.from(`<${String(index).padStart(3, '0')}>`);
      const rest = 64 * KIB - 5 - 19;
      const lengthBytes = [...Buffer.alloc(Math.floor(rest / 255), 255), rest % 255];
      blocks.push(compressed(64 * KIB, Buffer.from([0x0f, 255, 255, ...lengthBytes, 0x50, ...last])));
      before = Buffer.concat([before.subarray(1, -4), last]);
      outputs.push(before);
    }
    const expected = Buffer.concat(outputs);
    expect(decode(Buffer.concat([...blocks, END]), expected.length).equals(expected)).toBe(true);
  });

  it('a window of 64 KiB is kept over many short blocks of both kinds', () => {
    const seen: Buffer[] = [noise(65_535)];
    const blocks = [stored(seen[0] ?? Buffer.alloc(0))];
    for (let index = 0; index < 500; index += 1) {
      const at = Buffer.concat(seen).subarray(-65_535);
      // Four bytes from the far end of the window, then five literals of its own.
      const literals = Buffer.from(`<${String(index).padStart(3, '0')}>`);
      blocks.push(compressed(9, Buffer.concat([Buffer.from('00ffff50', 'hex'), literals])));
      seen.push(Buffer.concat([at.subarray(0, 4), literals]));
      if (index % 3 === 0) {
        blocks.push(stored(literals));
        seen.push(literals);
      }
    }
    const expected = Buffer.concat(seen);
    expect(decode(Buffer.concat([...blocks, END]), expected.length).equals(expected)).toBe(true);
  });
});

describe('what is handed out', () => {
  const zero = Buffer.alloc(64 * KIB);
  const data = noise(64 * KIB);
  const disk = Buffer.concat([
    zero,
    zero,
    data,
    zero,
    ...Array.from({ length: 9 }, () => data),
    zero,
    data.subarray(0, 7),
  ]);
  const stream = encode(disk);

  it('comes in pieces of at most 256 KiB, zeros apart', () => {
    const { pieces, output } = tryDecode(stream, disk.length);
    expect(pieces.map(({ bytes, zero: isZero }) => [bytes.length / KIB, isZero])).toEqual([
      [128, true],
      [64, false],
      [64, true],
      [256, false],
      [256, false],
      [64, false],
      [64, true],
      [7 / KIB, false],
    ]);
    expect(output.equals(disk)).toBe(true);
  });

  it('is cut alike however the stream is split and whatever its blocks are', () => {
    const lengths = (encoded: Buffer, cuts: readonly number[]): number[] =>
      tryDecode(encoded, disk.length, cuts).pieces.map(({ bytes }) => bytes.length);
    const expected = lengths(stream, []);
    expect(
      lengths(
        stream,
        Array.from({ length: 500 }, (_, index) => index * 1171),
      ),
    ).toEqual(expected);
    const otherBlocks = Array.from({ length: Math.ceil(disk.length / 5000) }, (_, index) =>
      stored(disk.subarray(index * 5000, (index + 1) * 5000)),
    );
    expect(lengths(Buffer.concat([...otherBlocks, END]), [])).toEqual(expected);
  });

  it('counts what it took and what it decoded', () => {
    const decoder = new AppleLz4Decoder({ expectedBytes: 39, onOutput: () => {} });
    expect([decoder.consumedBytes, decoder.decodedBytes]).toEqual([0, 0]);
    decoder.push(streamA.subarray(0, 30));
    expect([decoder.consumedBytes, decoder.decodedBytes]).toEqual([30, 16]);
    decoder.push(streamA.subarray(30));
    expect([decoder.consumedBytes, decoder.decodedBytes]).toEqual([51, 39]);
  });

  it('was all handed out when the end marker arrived', () => {
    const decoder = new AppleLz4Decoder({
      expectedBytes: 39,
      onOutput: (bytes) => (text += Buffer.from(bytes).toString()),
    });
    let text = '';
    decoder.push(streamA);
    expect(text).toBe(A.output);
  });
});

describe('after a failure', () => {
  it('every call says the same, and nothing more is handed out', () => {
    const outputs: number[] = [];
    const decoder = new AppleLz4Decoder({ expectedBytes: 100, onOutput: (bytes) => outputs.push(bytes.length) });
    expect(() => decoder.push(Buffer.from('rubbish'))).toThrow('byte 0: a block cannot begin with');
    expect(() => decoder.push(streamA)).toThrow('byte 0: a block cannot begin with');
    expect(() => decoder.finish()).toThrow('byte 0: a block cannot begin with');
    expect(outputs).toEqual([]);
  });

  it('an error of the sink is thrown as it is, and ends the decoder', () => {
    const full = new TartletError('DISK_FULL', 'the disk is full');
    const decoder = new AppleLz4Decoder({
      expectedBytes: 39,
      onOutput: () => {
        throw full;
      },
    });
    expect(() => decoder.push(streamA)).toThrow(full);
    expect(() => decoder.finish()).toThrow(full);
  });
});

it('what earlier blocks left in memory never shows (C5)', () => {
  const secret = Buffer.alloc(3 * MIB, 'SECRET');
  const tail = diskData(300_000);
  const shorts = cut(
    tail,
    Array.from({ length: 3000 }, (_, index) => index * 101),
  )
    .filter((piece) => piece.length > 0)
    .map((piece) => stored(piece));
  const stream = Buffer.concat([encode(secret).subarray(0, -4), ...shorts, END]);
  const output = decode(stream, secret.length + tail.length);
  expect(output.subarray(secret.length).equals(tail)).toBe(true);
});
