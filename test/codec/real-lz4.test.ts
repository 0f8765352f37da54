import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { compressSync, uncompressSync } from 'lz4-napi';
import { describe, expect, it } from 'vitest';
import { AppleLz4Encoder } from '../../src/codec/apple-lz4-encoder.ts';
import { describeWithParts } from '../support/real-parts.ts';
import { blocksOf, compressed, decode, encode, END, stored, tryDecode, u32 } from './apple-stream.ts';
import { diskData, noise, prose } from './disk-data.ts';

/*
 * Agreement with LZ4 implementations that are not ours: lz4_flex (behind lz4-napi) and liblz4 (behind the lz4 command).
 */

const BLOCK = 65_536;

/** Binaries and text as they are on disks, with noise and zeros between; ends with a short block. */
const disk = Buffer.concat([
  // A block that is stored, and one that repeats its second half: the first is out of reach.
  noise(BLOCK, 9),
  noise(BLOCK, 9).subarray(BLOCK / 2),
  prose(BLOCK / 2, 9),
  prose(3 * BLOCK + 5),
  diskData(20 * BLOCK),
  readFileSync(process.execPath).subarray(0, 40 * BLOCK),
  noise(2 * BLOCK + 100),
  Buffer.alloc(3 * BLOCK),
  prose(2 * BLOCK + 77, 2),
]);

/**
 * An Apple stream whose blocks lz4-napi made, each with the block before as its dictionary, as Apple's encoder does.
 */
function linkedStream(raw: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < raw.length; at += BLOCK) {
    const block = raw.subarray(at, at + BLOCK);
    const dictionary = at === 0 ? undefined : raw.subarray(at - BLOCK, at);
    // The library puts the uncompressed size in front.
    const payload = compressSync(block, dictionary).subarray(4);
    parts.push(payload.length < block.length ? compressed(block.length, payload) : stored(block));
  }
  return Buffer.concat([...parts, END]);
}

describe('lz4-napi', () => {
  const stream = linkedStream(disk);
  const blocks = blocksOf(stream);

  it('made blocks of both kinds that need the block before them, whatever its kind', () => {
    const needs = new Set<string>();
    for (const [index, { kind, size, payload }] of blocks.entries()) {
      if (kind === 'bv4-') continue;
      const alone = tryDecode(Buffer.concat([compressed(size, payload), END]), size);
      if (alone.error !== undefined) needs.add(`${blocks[index - 1]?.kind} before ${kind}`);
    }
    expect([...needs].sort()).toEqual(['bv4- before bv41', 'bv41 before bv41']);
  });

  it.each([[[]], [[1, 30, 100_000]], [Array.from({ length: 400 }, (_, index) => index * 4099)]])(
    'encodes, we decode (split %#)',
    (cuts) => {
      expect(decode(stream, disk.length, cuts).equals(disk)).toBe(true);
    },
  );

  it('decodes what we encode, with no more history than the block before', () => {
    const decoded: Buffer[] = [];
    for (const { kind, size, payload } of blocksOf(encode(disk))) {
      const before = decoded.at(-1);
      decoded.push(kind === 'bv4-' ? payload : uncompressSync(Buffer.concat([u32(size), payload]), before));
    }
    expect(Buffer.concat(decoded).equals(disk)).toBe(true);
  });

  // Without the first two blocks: there the library gains by referring to a stored block, which we never do on purpose.
  it('does not make a disk smaller than we do', () => {
    const ordinary = disk.subarray(2 * BLOCK);
    expect(encode(ordinary).length).toBeLessThan(linkedStream(ordinary).length);
  });
});

/** The blocks of an LZ4 frame without checksums and sizes, as an Apple stream (LZ4 frame format 1.6.2). */
function fromFrame(frame: Buffer, raw: Buffer): Buffer {
  expect(frame.readUInt32LE(0)).toBe(0x184d2204);
  const flags = frame.readUInt8(4);
  const dependent = (flags & 0x20) === 0;
  const bare = (flags & 0x1d) === 0;
  expect({ dependent, bare }).toEqual({ dependent: true, bare: true });
  const parts: Buffer[] = [];
  let at = 7;
  for (let done = 0; ; done += BLOCK) {
    const word = frame.readUInt32LE(at);
    if (word === 0) return Buffer.concat([...parts, END]);
    const length = word & 0x7fffffff;
    const payload = frame.subarray(at + 4, at + 4 + length);
    const size = Math.min(BLOCK, raw.length - done);
    parts.push(word > 0x7fffffff ? stored(payload) : compressed(size, payload));
    at += 4 + length;
  }
}

describeWithParts('the lz4 command', ['lz4'], () => {
  it.each(['-1', '-9'])('encodes linked blocks with %s, we decode', (level) => {
    const frame = execFileSync('lz4', [level, '-BD', '-B4', '--no-frame-crc', '-c'], {
      input: disk,
      maxBuffer: 2 * disk.length,
    });
    const stream = fromFrame(frame, disk);
    expect(new Set(blocksOf(stream).map(({ kind }) => kind))).toEqual(new Set(['bv41', 'bv4-']));
    expect(decode(stream, disk.length, [5, 70_000]).equals(disk)).toBe(true);
  });

  it('decodes what we encode, put into a frame', () => {
    const parts = blocksOf(encode(disk)).flatMap(({ kind, payload }) => [
      u32(kind === 'bv4-' ? payload.length + 2 ** 31 : payload.length),
      payload,
    ]);
    // Version 1, dependent blocks of 64 KiB, no checksums; then the header's own checksum.
    const header = Buffer.from('04224d184040c0', 'hex');
    const frame = Buffer.concat([header, ...parts, u32(0)]);
    const output = execFileSync('lz4', ['-d', '-c'], { input: frame, maxBuffer: 2 * disk.length });
    expect(output.equals(disk)).toBe(true);
  });

  it('decodes what we encode in pieces, as a whole and each piece alone', () => {
    const piece = 4 * BLOCK;
    const parts: Buffer[] = [];
    const ends: number[] = [];
    const encoder = new AppleLz4Encoder((bytes) => parts.push(Buffer.from(bytes)), undefined, piece);
    for (let at = 0; at < disk.length; at += piece) {
      encoder.push(disk.subarray(at, at + piece));
      ends.push(parts.reduce((sum, { length }) => sum + length, 0));
    }
    encoder.finish();
    const stream = Buffer.concat(parts);
    const decoded = (bytes: Buffer): Buffer => {
      const blocks = blocksOf(bytes).flatMap(({ kind, payload }) => [
        u32(kind === 'bv4-' ? payload.length + 2 ** 31 : payload.length),
        payload,
      ]);
      const input = Buffer.concat([Buffer.from('04224d184040c0', 'hex'), ...blocks, u32(0)]);
      return execFileSync('lz4', ['-d', '-c'], { input, maxBuffer: 2 * disk.length });
    };
    expect(decoded(stream).equals(disk)).toBe(true);
    // The last ends with a short block, which comes with the end of the stream.
    for (const [index, end] of ends.slice(0, -1).entries()) {
      const alone = decoded(Buffer.concat([stream.subarray(ends[index - 1] ?? 0, end), END]));
      expect(alone.equals(disk.subarray(index * piece, (index + 1) * piece))).toBe(true);
    }
  });
});
