import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseManifest, requireImage } from '../../src/oci/manifest.ts';
import { parseTartImage } from '../../src/oci/tart-image.ts';
import {
  configLayer,
  diskLayer,
  fakeDigest,
  json,
  nvramLayer,
  sha256,
  tinyDocument,
  tinyManifest,
} from '../support/tart-image.ts';
import { invalid, type Refusal, refusal, refusalIfAny } from './refusal.ts';

const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const why = (document: Uint8Array): Refusal => refusal(() => parseManifest(document));

describe('an image manifest', () => {
  it('is its bytes, their digest, and what they say', () => {
    const bytes = tinyManifest({ artifactType: 'application/x', annotations: { a: 'b' } });
    const manifest = requireImage(parseManifest(bytes, OCI_MANIFEST), 'x');
    expect(manifest.bytes).toBe(bytes);
    expect(manifest.digest.toString()).toBe(sha256(bytes));
    expect(manifest.mediaType).toBe(OCI_MANIFEST);
    expect(manifest.artifactType).toBe('application/x');
    expect(manifest.annotations.get('a')).toBe('b');
    expect(manifest.config.digest.toString()).toBe(fakeDigest('f'));
    expect(manifest.layers.map((layer) => layer.size)).toEqual([471, 1024, 33554432]);
  });

  it('has the digest of the raw bytes: white space and unknown keys are part of its identity', () => {
    const compact = tinyManifest();
    const spaced = new TextEncoder().encode(`${JSON.stringify(tinyDocument({ subject: { x: 1 } }), undefined, 2)}\n`);
    expect(parseManifest(compact).digest.toString()).toBe(sha256(compact));
    expect(parseManifest(spaced).digest.toString()).toBe(sha256(spaced));
    expect(sha256(spaced)).not.toBe(sha256(compact));
  });

  it('may repeat a layer, and may have none', () => {
    const twice = tinyManifest({ layers: [diskLayer(), diskLayer()] });
    expect(requireImage(parseManifest(twice), 'x').layers).toHaveLength(2);
    expect(requireImage(parseManifest(tinyManifest({ layers: [] })), 'x').layers).toEqual([]);
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['no config', { config: undefined }, 'config is missing'],
    ['no layers', { layers: undefined }, 'layers is missing'],
    ['layers as an object', { layers: {} }, 'layers is not a list'],
    ['layers as null', { layers: null }, 'layers is not a list'],
    ['a layer as a string', { layers: ['x'] }, 'layers[0] is not an object'],
    [
      'a broken second layer',
      { layers: [configLayer(), diskLayer({ size: -1 })] },
      'layers[1].size is not a whole number of bytes',
    ],
    ['a broken config', { config: { mediaType: 'x', digest: 'y', size: 1 } }, 'config.digest is not a digest: "y"'],
    ['annotations as a list', { annotations: [] }, 'annotations is not an object'],
    ['a number as an annotation', { annotations: { a: 1 } }, 'annotations["a"] is not a string'],
    ['layers and manifests', { manifests: [] }, 'the document is an image and an index at once'],
    ['config and manifests', { layers: undefined, manifests: [] }, 'the document is an image and an index at once'],
    ['neither', { layers: undefined, config: undefined }, 'the document has neither layers nor manifests'],
    ['another spelling', { Manifests: [] }, 'the document has the key "Manifests", which is spelled "manifests"'],
    ['a media type that is a number', { mediaType: 2 }, 'mediaType is not a string'],
  ])('with %s is refused', (_, overrides, rest) => {
    expect(why(tinyManifest(overrides))).toEqual(invalid(rest));
  });

  it('cannot name one blob with two sizes (S16)', () => {
    expect(why(tinyManifest({ layers: [diskLayer(), diskLayer({ size: 1025 })] }))).toEqual(
      invalid(`the blob ${fakeDigest('2')} is named with two sizes, 1024 and 1025`),
    );
    expect(why(tinyManifest({ layers: [diskLayer({ digest: fakeDigest('f') })] }))).toEqual(
      invalid(`the blob ${fakeDigest('f')} is named with two sizes, 100 and 1024`),
    );
  });

  it.each([['null'], ['[]'], ['"x"'], ['2']])('is not %s', (text) => {
    expect(why(new TextEncoder().encode(text))).toEqual(invalid('the document is not an object'));
  });

  it.each<[unknown, string]>([
    [1, '1'],
    ['2', '"2"'],
    [undefined, 'null'],
    [{ toString: 1, valueOf: 1 }, '{"toString":1,"value…'],
  ])('of schema version %j is of no kind we know', (schemaVersion, found) => {
    const act = (): unknown => parseManifest(tinyManifest({ schemaVersion }));
    expect(refusal(act)).toEqual(['MEDIA_UNSUPPORTED', 'the manifest is not of schema version 2']);
    expect(act).toThrow(expect.objectContaining({ facts: expect.objectContaining({ found }) }));
  });
});

describe('limits (C13)', () => {
  it('16 MiB may be read, a byte more may not', () => {
    const limit = 16 * 1024 * 1024;
    const padded = (length: number): Uint8Array => {
      const bytes = Buffer.alloc(length, ' ');
      bytes.set(tinyManifest());
      return bytes;
    };
    expect(parseManifest(padded(limit)).kind).toBe('image');
    expect(why(padded(limit + 1))).toEqual([
      'MANIFEST_TOO_LARGE',
      'the manifest has 16777217 bytes, the limit is 16777216',
    ]);
  });

  it('10,000 layers may be named, one more may not', () => {
    const layers = Array.from({ length: 10_000 }, () => diskLayer());
    expect(requireImage(parseManifest(tinyManifest({ layers })), 'x').layers).toHaveLength(10_000);
    expect(why(tinyManifest({ layers: [...layers, 0] }))).toEqual([
      'MANIFEST_TOO_LARGE',
      'the manifest has 10001 layers, the limit is 10000',
    ]);
  });

  it('annotations of the manifest are limited, too', () => {
    expect(why(tinyManifest({ annotations: { a: 'x'.repeat(2 ** 20) } }))).toEqual([
      'MANIFEST_TOO_LARGE',
      'annotations of the manifest has 1048577 bytes, the limit is 64 KiB',
    ]);
  });
});

describe('whatever a registry sends', () => {
  it('a manifest with one value replaced is understood or refused with our error', () => {
    fc.assert(
      fc.property(fc.constantFrom(...PATHS), fc.jsonValue({ maxDepth: 3 }), (path, value) => {
        const document = tinyDocument({ layers: [configLayer(), diskLayer(), nvramLayer()] });
        const owner = path.slice(0, -1).reduce((at, key) => at[key] as Record<string, unknown>, document);
        owner[path.at(-1)!] = value;
        const [code, message = ''] =
          refusalIfAny(() => parseTartImage(requireImage(parseManifest(json(document)), 'x'), 'x')) ?? [];
        expect([undefined, 'MANIFEST_INVALID', 'MANIFEST_TOO_LARGE', 'MEDIA_UNSUPPORTED']).toContain(code);
        // oxlint-disable-next-line no-control-regex -- a message is one printable line
        expect(message).not.toMatch(/[\u0000-\u001f]/);
      }),
      { numRuns: 1000 },
    );
  });
});

/** Every place in a tiny manifest that holds a value. */
const PATHS: string[][] = [
  ['schemaVersion'],
  ['mediaType'],
  ['config'],
  ['config', 'digest'],
  ['layers'],
  ['layers', '1'],
  ['layers', '1', 'mediaType'],
  ['layers', '1', 'size'],
  ['layers', '1', 'digest'],
  ['layers', '1', 'annotations'],
  ['layers', '1', 'annotations', 'org.cirruslabs.tart.uncompressed-size'],
  ['layers', '1', 'annotations', 'org.cirruslabs.tart.uncompressed-content-digest'],
  ['annotations'],
  ['annotations', 'org.cirruslabs.tart.uncompressed-disk-size'],
  ['manifests'],
];
