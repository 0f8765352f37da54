import { expect, it } from 'vitest';
import { AppleLz4Decoder } from '../../src/codec/apple-lz4-decoder.ts';
import type { StreamPosition } from '../../src/codec/chunk-decoder.ts';
import { encode } from './apple-stream.ts';
import { diskData } from './disk-data.ts';

const KIB = 1024;
const disk = diskData(3000 * KIB + 77);
const stream = encode(disk);

it('a decoder goes on wherever another one had come to, with the last 64 KiB and the two positions', () => {
  const boundaries: StreamPosition[] = [];
  let handedOut = 0;
  const first = new AppleLz4Decoder({
    expectedBytes: disk.length,
    onOutput: (bytes) => {
      handedOut += bytes.length;
    },
  });
  for (let at = 0; at < stream.length; at += 10_000) {
    first.push(stream.subarray(at, at + 10_000));
    expect(first.boundary.decoded).toBeLessThanOrEqual(handedOut);
    if (boundaries.at(-1)?.decoded !== first.boundary.decoded) boundaries.push(first.boundary);
  }
  expect(boundaries.length).toBeGreaterThan(4);

  for (const { encoded, decoded } of boundaries) {
    const output: Buffer[] = [];
    const second = new AppleLz4Decoder({
      expectedBytes: disk.length,
      onOutput: (bytes) => output.push(Buffer.from(bytes)),
      resume: { encoded, decoded, history: disk.subarray(Math.max(0, decoded - 64 * KIB), decoded) },
    });
    expect(second.boundary).toEqual({ encoded, decoded });
    second.push(stream.subarray(encoded));
    second.finish();
    expect(Buffer.concat(output).equals(disk.subarray(decoded))).toBe(true);
    expect(second.consumedBytes).toBe(stream.length);
  }
});

it('what a decoder goes on from must fit together', () => {
  const resume = { encoded: 10, decoded: 70_000, history: new Uint8Array(65_535) };
  const options = { expectedBytes: disk.length, onOutput: () => {} };
  expect(() => new AppleLz4Decoder({ ...options, resume })).toThrow('cannot go on at byte 70000 with 65535 bytes');
  const beyond = { ...resume, decoded: disk.length + 1, history: new Uint8Array(65_536) };
  expect(() => new AppleLz4Decoder({ ...options, resume: beyond })).toThrow('cannot go on');
});
