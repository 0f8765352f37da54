import { fc, it as property } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { plainBackend } from '../../src/codec/lz4-backend.ts';
import { ContentDecoder } from '../../src/peering/content-stream.ts';
import { ContentEncoder } from '../../src/peering/content-encoder.ts';
import { head, record } from '../support/played-peer.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** What a decoder hands out for a stream that comes in pieces of so many bytes. */
function decode(stream: Uint8Array, expectedBytes: number, pieceBytes = stream.length): Buffer {
  const parts: Buffer[] = [];
  const workspace = plainBackend.decoderWorkspace();
  const decoder = new ContentDecoder({ expectedBytes, workspace, onOutput: (bytes) => parts.push(Buffer.from(bytes)) });
  for (let at = 0; at < stream.length; at += pieceBytes) decoder.push(stream.subarray(at, at + pieceBytes));
  if (!decoder.isWhole) throw new Error('it ended early');
  return Buffer.concat(parts);
}

function encode(content: Uint8Array, pieceBytes: number): Buffer {
  const encoder = new ContentEncoder(plainBackend.encoderWorkspace());
  const records: Uint8Array[] = [];
  for (let at = 0; at < content.length; at += pieceBytes) {
    records.push(...encoder.push(content.subarray(at, at + pieceBytes)));
  }
  return Buffer.concat([...records, ...encoder.finish()]);
}

/** Extents of zeros and of bytes, as disks have them. */
const contents = fc
  .array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 300 * KIB }), fc.integer({ min: 1, max: 255 })), {
    minLength: 1,
    maxLength: 6,
  })
  .map((extents) => Buffer.concat(extents.map(([isZero, length, byte]) => Buffer.alloc(length, isZero ? 0 : byte))));

describe('the stream of a content', () => {
  property.prop([contents, fc.integer({ min: 1, max: 70 * KIB })], { numRuns: 30 })(
    'is the content again, however it is cut on its way',
    (content, pieceBytes) => {
      expect(decode(encode(content, 256 * KIB), content.length, pieceBytes).equals(content)).toBe(true);
    },
  );

  it('leaves zeros out', () => {
    const content = Buffer.concat([Buffer.alloc(64 * MIB), Buffer.alloc(64 * KIB, 'disk')]);
    expect(encode(content, MIB).length).toBeLessThan(2 * KIB);
  });

  it('begins anywhere: its records do not need each other', () => {
    const content = Buffer.alloc(3 * MIB, 'a disk is like this ');
    const rest = content.subarray(MIB + 17);
    expect(decode(encode(rest, 256 * KIB), rest.length).equals(rest)).toBe(true);
  });

  it.each<[string, Uint8Array, number]>([
    ['more zeros than the content has', record(9000, Buffer.alloc(0)), 8192],
    ['four GiB of zeros in twelve bytes', head(0xffff_ffff, 0, 0), 8192],
    ['more data than the content has', record(0, Buffer.alloc(9000, 'x')), 8192],
    ['a record that claims more than a MiB', head(0, MIB + 1, 100), 4 * MIB],
    ['a record that claims to be encoded in four GiB', head(0, MIB, 0xffff_ffff), 4 * MIB],
    ['data without bytes', head(0, 4096, 0), 8192],
    ['bytes without data', head(4096, 0, 100), 8192],
    ['a record that says nothing, which could come without end', head(0, 0, 0), 8192],
    ['more behind the end', Buffer.concat([record(0, Buffer.alloc(8192, 'x')), Buffer.from([0])]), 8192],
    ['no LZ4', Buffer.concat([head(0, 4096, 8), Buffer.alloc(8, 0xff)]), 8192],
    [
      'fewer data than its record claims',
      Buffer.concat([head(0, 8192, 4108), record(0, Buffer.alloc(4096)).subarray(12)]),
      8192,
    ],
  ])('that has %s is refused at once', (_, stream, expectedBytes) => {
    expect(() => decode(stream, expectedBytes)).toThrow(/(?:no stream of a content|LZ4 stream)/);
  });

  it('hands out nothing beyond the content, whatever comes', () => {
    const handedOut: number[] = [];
    const decoder = new ContentDecoder({
      expectedBytes: 8192,
      workspace: plainBackend.decoderWorkspace(),
      onOutput: (bytes) => handedOut.push(bytes.length),
    });
    decoder.push(record(4096, Buffer.alloc(4096, 'x')));
    expect(() => decoder.push(record(1, Buffer.alloc(0)))).toThrow('behind its end');
    expect(handedOut.reduce((sum, length) => sum + length, 0)).toBe(8192);
  });
});
