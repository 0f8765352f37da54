import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type IndexManifest, parseManifest, requireImage } from '../../src/oci/manifest.ts';
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
import { refusal, refusalIfAny } from './refusal.ts';

const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';

const why = (document: Uint8Array, header?: string): readonly [string, string] =>
  refusal(() => parseManifest(document, header));
const invalid = (rest: string): readonly [string, string] => ['MANIFEST_INVALID', `the manifest is invalid: ${rest}`];

const index = (overrides: Record<string, unknown> = {}): Uint8Array =>
  json({
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: [
      entry('1', { os: 'linux', architecture: 'amd64' }),
      entry('2', { os: 'darwin', architecture: 'arm64' }),
      entry('3'),
    ],
    ...overrides,
  });
const entry = (digit: string, platform?: unknown): Record<string, unknown> => ({
  mediaType: OCI_MANIFEST,
  digest: fakeDigest(digit),
  size: 7,
  platform,
});

describe('an image manifest', () => {
  test('is its bytes, their digest, and what they say', () => {
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

  test('has the digest of the raw bytes: white space and unknown keys are part of its identity', () => {
    const compact = tinyManifest();
    const spaced = new TextEncoder().encode(`${JSON.stringify(tinyDocument({ subject: { x: 1 } }), undefined, 2)}\n`);
    expect(parseManifest(compact).digest.toString()).toBe(sha256(compact));
    expect(parseManifest(spaced).digest.toString()).toBe(sha256(spaced));
    expect(sha256(spaced)).not.toBe(sha256(compact));
  });

  test('may repeat a layer, and may have none', () => {
    const twice = tinyManifest({ layers: [diskLayer(), diskLayer()] });
    expect(requireImage(parseManifest(twice), 'x').layers).toHaveLength(2);
    expect(requireImage(parseManifest(tinyManifest({ layers: [] })), 'x').layers).toEqual([]);
  });

  test.each<[string, Record<string, unknown>, string]>([
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

  test('cannot name one blob with two sizes', () => {
    expect(why(tinyManifest({ layers: [diskLayer(), diskLayer({ size: 1025 })] }))).toEqual(
      invalid(`the blob ${fakeDigest('2')} is named with two sizes, 1024 and 1025`),
    );
  });

  test.each([['null'], ['[]'], ['"x"'], ['2']])('is not %s', (text) => {
    expect(why(new TextEncoder().encode(text))).toEqual(invalid('the document is not an object'));
  });

  test.each<[unknown, string]>([
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

describe('media type, header and content must agree (C19, Q18)', () => {
  test.each<[string | undefined, string | undefined, string]>([
    [OCI_MANIFEST, undefined, OCI_MANIFEST],
    [OCI_MANIFEST, OCI_MANIFEST, OCI_MANIFEST],
    [OCI_MANIFEST, `${OCI_MANIFEST}; charset=utf-8`, OCI_MANIFEST],
    [OCI_MANIFEST, 'Application/VND.OCI.image.manifest.v1+JSON ;q=1', OCI_MANIFEST],
    [OCI_MANIFEST, 'text/plain', OCI_MANIFEST],
    [OCI_MANIFEST, 'application/json', OCI_MANIFEST],
    [OCI_MANIFEST, '', OCI_MANIFEST],
    [DOCKER_MANIFEST, DOCKER_MANIFEST, DOCKER_MANIFEST],
    [DOCKER_MANIFEST, undefined, DOCKER_MANIFEST],
    [undefined, undefined, OCI_MANIFEST],
    [undefined, 'text/plain; charset=utf-8', OCI_MANIFEST],
    [undefined, DOCKER_MANIFEST, DOCKER_MANIFEST],
    [undefined, OCI_MANIFEST, OCI_MANIFEST],
  ])('field %s with header %s is an image of type %s', (mediaType, header, agreed) => {
    const manifest = parseManifest(tinyManifest({ mediaType }), header);
    expect([manifest.kind, manifest.mediaType]).toEqual(['image', agreed]);
  });

  test.each<[string | undefined, string | undefined, string]>([
    [OCI_INDEX, OCI_INDEX, OCI_INDEX],
    [DOCKER_LIST, undefined, DOCKER_LIST],
    [undefined, DOCKER_LIST, DOCKER_LIST],
    [undefined, 'text/html', OCI_INDEX],
  ])('field %s with header %s is an index of type %s', (mediaType, header, agreed) => {
    const manifest = parseManifest(index({ mediaType }), header);
    expect([manifest.kind, manifest.mediaType]).toEqual(['index', agreed]);
  });

  test.each<[string | undefined, string | undefined, string]>([
    [OCI_INDEX, undefined, `mediaType says "${OCI_INDEX}", the content is an image`],
    [DOCKER_LIST, OCI_MANIFEST, `mediaType says "${DOCKER_LIST}", the content is an image`],
    [OCI_MANIFEST, OCI_INDEX, `mediaType says "${OCI_MANIFEST}", the registry says "${OCI_INDEX}"`],
    [OCI_MANIFEST, DOCKER_MANIFEST, `mediaType says "${OCI_MANIFEST}", the registry says "${DOCKER_MANIFEST}"`],
    [undefined, OCI_INDEX, `the document is an image, the registry says "${OCI_INDEX}"`],
    [undefined, `${DOCKER_LIST}; x=y`, `the document is an image, the registry says "${DOCKER_LIST}"`],
  ])('field %s with header %s is no image', (mediaType, header, rest) => {
    expect(why(tinyManifest({ mediaType }), header)).toEqual(invalid(rest));
  });

  test('an index that calls itself an image is refused, too', () => {
    expect(why(index({ mediaType: OCI_MANIFEST }))).toEqual(
      invalid(`mediaType says "${OCI_MANIFEST}", the content is an index`),
    );
    expect(why(index({ mediaType: undefined }), OCI_MANIFEST)).toEqual(
      invalid(`the document is an index, the registry says "${OCI_MANIFEST}"`),
    );
  });

  test.each([['application/vnd.docker.distribution.manifest.v1+prettyjws'], ['text/plain'], ['']])(
    'a field of unknown type %j is unsupported',
    (mediaType) => {
      expect(why(tinyManifest({ mediaType }))).toEqual([
        'MEDIA_UNSUPPORTED',
        `the manifest is of unknown type "${mediaType}"`,
      ]);
    },
  );
});

describe('limits (C13)', () => {
  test('16 MiB may be read, a byte more may not', () => {
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

  test('10,000 layers may be named, one more may not', () => {
    const layers = Array.from({ length: 10_000 }, () => diskLayer());
    expect(requireImage(parseManifest(tinyManifest({ layers })), 'x').layers).toHaveLength(10_000);
    expect(why(tinyManifest({ layers: [...layers, 0] }))).toEqual([
      'MANIFEST_TOO_LARGE',
      'the manifest has 10001 layers, the limit is 10000',
    ]);
  });

  test('an index of 10,001 entries is too large', () => {
    const manifests = Array.from({ length: 10_001 }, () => entry('1'));
    expect(why(index({ manifests }))).toEqual([
      'MANIFEST_TOO_LARGE',
      'the manifest has 10001 manifests, the limit is 10000',
    ]);
  });

  test('annotations of the manifest are limited, too', () => {
    expect(why(tinyManifest({ annotations: { a: 'x'.repeat(2 ** 20) } }))).toEqual([
      'MANIFEST_TOO_LARGE',
      'annotations of the manifest has 1048577 bytes, the limit is 64 KiB',
    ]);
  });
});

describe('an index', () => {
  test('knows its entries and their platforms', () => {
    const manifest = parseManifest(index()) as IndexManifest;
    expect(manifest.manifests.map((each) => [each.digest.toString(), each.platform])).toEqual([
      [fakeDigest('1'), 'linux/amd64'],
      [fakeDigest('2'), 'darwin/arm64'],
      [fakeDigest('3'), undefined],
    ]);
  });

  test('is no VM image, and the message lists what it offers instead', () => {
    expect(refusal(() => requireImage(parseManifest(index()), 'ghcr.io/org/img:1'))).toEqual([
      'MEDIA_UNSUPPORTED',
      'ghcr.io/org/img:1 is an image index, not a VM image; it offers linux/amd64, darwin/arm64, sha256:333333333333',
    ]);
  });

  test('with nothing in it says so', () => {
    expect(refusal(() => requireImage(parseManifest(index({ manifests: [] })), 'h/x'))[1]).toBe(
      'h/x is an image index, not a VM image; it offers nothing',
    );
  });

  test('with many entries or hostile platforms still makes one short line', () => {
    const manifests = Array.from({ length: 11 }, () => entry('1', { os: '\u001b]0;x\u0007\n', architecture: 'arm64' }));
    const [, message] = refusal(() => requireImage(parseManifest(index({ manifests })), 'h/x'));
    const shown = String.raw`\u001b]0;x\u0007\u000a/arm64`;
    expect(message).toBe(`h/x is an image index, not a VM image; it offers ${Array(8).fill(shown).join(', ')}, 3 more`);
  });

  test.each<[unknown]>([['linux/amd64'], [null], [{ os: 'linux' }], [{ os: 1, architecture: 2 }]])(
    'ignores a platform like %j',
    (platform) => {
      const manifest = parseManifest(index({ manifests: [entry('1', platform)] })) as IndexManifest;
      expect(manifest.manifests[0]?.platform).toBeUndefined();
    },
  );

  test('with a broken entry is refused by its place', () => {
    expect(why(index({ manifests: [entry('1'), {}] }))).toEqual(invalid('manifests[1].mediaType is missing'));
    expect(why(index({ manifests: 'x' }))).toEqual(invalid('manifests is not a list'));
  });
});

describe('whatever a registry sends', () => {
  test('a manifest with one value replaced is understood or refused with our error', () => {
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
