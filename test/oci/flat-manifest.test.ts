import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Digest } from '../../src/names/digest.ts';
import { type EncodedChunk, type FlatManifestParts, flatManifest, stubConfig } from '../../src/oci/flat-manifest.ts';
import { parseManifest, requireImage } from '../../src/oci/manifest.ts';
import { parseTartImage } from '../../src/oci/tart-image.ts';
import { fakeDigest } from '../support/tart-image.ts';

const digest = (hexDigit: string): Digest => Digest.parse(fakeDigest(hexDigit));
const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** tart-formats §10.2, made by Swift with Tart's encoder settings. */
const VECTOR: FlatManifestParts = {
  stubConfig: {
    digest: Digest.sha256('3a6cb4eb6201aa00136781f9d350858ca23054fdda419893193af3e3a044b3a8'),
    size: 100,
  },
  config: { digest: digest('1'), size: 471 },
  chunks: [
    { digest: digest('2'), size: 2345678, contentSize: 536870912, contentDigest: digest('3') },
    { digest: digest('4'), size: 26, contentSize: 14, contentDigest: digest('5') },
  ],
  nvram: { digest: digest('6'), size: 33554432 },
  uploadTime: new Date('2024-05-21T15:21:28.999Z'),
};

const VECTOR_TEXT = [
  String.raw`{"annotations":{"org.cirruslabs.tart.uncompressed-disk-size":"536870926","org.cirruslabs.tart.upload-time":"2024-05-21T15:21:28Z"},`,
  String.raw`"config":{"digest":"sha256:3a6cb4eb6201aa00136781f9d350858ca23054fdda419893193af3e3a044b3a8","mediaType":"application\/vnd.oci.image.config.v1+json","size":100},`,
  String.raw`"layers":[{"annotations":{},"digest":"sha256:1×64","mediaType":"application\/vnd.cirruslabs.tart.config.v1","size":471},`,
  String.raw`{"annotations":{"org.cirruslabs.tart.uncompressed-content-digest":"sha256:3×64","org.cirruslabs.tart.uncompressed-size":"536870912"},"digest":"sha256:2×64","mediaType":"application\/vnd.cirruslabs.tart.disk.v2","size":2345678},`,
  String.raw`{"annotations":{"org.cirruslabs.tart.uncompressed-content-digest":"sha256:5×64","org.cirruslabs.tart.uncompressed-size":"14"},"digest":"sha256:4×64","mediaType":"application\/vnd.cirruslabs.tart.disk.v2","size":26},`,
  String.raw`{"annotations":{},"digest":"sha256:6×64","mediaType":"application\/vnd.cirruslabs.tart.nvram.v1","size":33554432}],`,
  String.raw`"mediaType":"application\/vnd.oci.image.manifest.v1+json","schemaVersion":2}`,
]
  .join('')
  .replaceAll(/(\d)×64/g, (_, hexDigit: string) => hexDigit.repeat(64));

describe('the manifest of a flat image', () => {
  it('is byte-equal to what Tart writes for the same image', () => {
    const bytes = flatManifest(VECTOR);
    expect(text(bytes)).toBe(VECTOR_TEXT);
    expect(bytes).toHaveLength(1405);
    expect(hash(bytes)).toBe('204b042368486ca7d57f3a0cf5584e842caab3c1c79e58a3d89c65dff9c4f0b8');
  });

  it('has no upload time when none is given, and is then the same every time', () => {
    const { annotations } = JSON.parse(text(flatManifest({ ...VECTOR, uploadTime: undefined }))) as {
      annotations: unknown;
    };
    expect(annotations).toEqual({ 'org.cirruslabs.tart.uncompressed-disk-size': '536870926' });
  });

  it('is what we read back: the vector as a Tart image', () => {
    const manifest = requireImage(parseManifest(new TextEncoder().encode(VECTOR_TEXT)), 'x');
    const image = parseTartImage(manifest, 'x');
    expect(manifest.digest.hex).toBe('204b042368486ca7d57f3a0cf5584e842caab3c1c79e58a3d89c65dff9c4f0b8');
    expect(image.layout).toBe('flat');
    expect(image.uploadTime).toBe('2024-05-21T15:21:28Z');
    expect(image.base.size).toBe(536870926);
    expect(image.base.fileDigest).toBeUndefined();
    expect(image.base.chunks.map((chunk) => [chunk.index, chunk.offset, chunk.size])).toEqual([
      [0, 0, 536870912],
      [1, 536870912, 14],
    ]);
    expect(image.base.chunks.map((chunk) => chunk.contentDigest.toString())).toEqual([
      fakeDigest('3'),
      fakeDigest('5'),
    ]);
  });

  it('keeps order, offsets, digests and sizes of any list of chunks on the way there and back', () => {
    fc.assert(
      fc.property(chunkLists(), (chunks) => {
        const manifest = requireImage(parseManifest(flatManifest({ ...VECTOR, chunks })), 'x');
        const image = parseTartImage(manifest, 'x');
        let offset = 0;
        const expected = chunks.map((chunk, index) => {
          const at = offset;
          offset += chunk.contentSize;
          return [index, at, chunk.contentSize, chunk.contentDigest.hex, chunk.digest.hex, chunk.size];
        });
        expect(
          image.base.chunks.map((chunk) => [
            chunk.index,
            chunk.offset,
            chunk.size,
            chunk.contentDigest.hex,
            chunk.descriptor.digest.hex,
            chunk.descriptor.size,
          ]),
        ).toEqual(expected);
        expect(image.base.size).toBe(offset);
        expect(image.config.digest.hex).toBe('1'.repeat(64));
        expect(image.nvram.size).toBe(33554432);
      }),
    );
  });
});

describe('the stub config', () => {
  it('is byte-equal to what Tart writes for a macOS VM with a raw disk', () => {
    const bytes = stubConfig({ arch: 'arm64', os: 'darwin', diskFormat: 'raw' }, new Map());
    expect(text(bytes)).toBe(
      '{"architecture":"arm64","config":{"Labels":{"org.cirruslabs.tart.disk.format":"raw"}},"os":"darwin"}',
    );
    expect(bytes).toHaveLength(100);
    expect(hash(bytes)).toBe('3a6cb4eb6201aa00136781f9d350858ca23054fdda419893193af3e3a044b3a8');
  });

  it('names the VM of a Linux guest with an ASIF disk', () => {
    expect(text(stubConfig({ arch: 'amd64', os: 'linux', diskFormat: 'asif' }, new Map()))).toBe(
      '{"architecture":"amd64","config":{"Labels":{"org.cirruslabs.tart.disk.format":"asif"}},"os":"linux"}',
    );
  });

  it('holds the labels of the user in byte order; the disk format is not theirs to set', () => {
    const labels = new Map([
      ['org.cirruslabs.tart.disk.format', 'qcow2'],
      ['zone', ''],
      ['10', 'ten'],
      ['9', 'nine'],
      ['Org/Team', 'a=b'],
      ['__proto__', 'x'],
    ]);
    expect(text(stubConfig({ arch: 'arm64', os: 'darwin', diskFormat: 'raw' }, labels))).toBe(
      String.raw`{"architecture":"arm64","config":{"Labels":{"10":"ten","9":"nine","Org\/Team":"a=b","__proto__":"x","org.cirruslabs.tart.disk.format":"raw","zone":""}},"os":"darwin"}`,
    );
  });
});

/** Chunks of any honest size; the same blob always decodes to the same content. */
function chunkLists(): fc.Arbitrary<EncodedChunk[]> {
  const chunk = fc.record({ seed: fc.nat(), contentSize: fc.integer({ min: 1, max: 2 ** 40 }), ratio: fc.nat(255) });
  const repeats = fc.array(fc.nat(), { maxLength: 6 });
  return fc.tuple(fc.array(chunk, { minLength: 1, maxLength: 8 }), repeats).map(([seeds, again]) => {
    const made = seeds.map(({ seed, contentSize, ratio }, index) => ({
      digest: Digest.sha256(hash(Buffer.from(`blob ${seed} ${index}`))),
      size: Math.ceil(contentSize / (ratio + 1)),
      contentSize,
      contentDigest: Digest.sha256(hash(Buffer.from(`content ${seed} ${index}`))),
    }));
    return [...made, ...again.map((index) => made[index % made.length]!)];
  });
}
