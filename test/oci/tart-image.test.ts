import { describe, expect, test } from 'vitest';
import { parseManifest, requireImage } from '../../src/oci/manifest.ts';
import { allChunks, type DiskFile, parseTartImage, type TartImage, transferBytes } from '../../src/oci/tart-image.ts';
import {
  configLayer,
  diskLayer,
  fakeDigest,
  manifestOf,
  nvramLayer,
  overlayLayer,
  sha256,
  tinyImage,
  tinyManifest,
} from '../support/tart-image.ts';
import { refusal } from './refusal.ts';

const SIZE = 'org.cirruslabs.tart.uncompressed-size';
const CONTENT = 'org.cirruslabs.tart.uncompressed-content-digest';
const FILE = 'org.cirruslabs.tart.disk-file-content-digest';
const COUNT = 'org.cirruslabs.tart.disk-file-chunk-count';
const DISK_SIZE = 'org.cirruslabs.tart.uncompressed-disk-size';
const BLOCK_SIZE = 'org.cirruslabs.tart.disk.block-size';

const NAME = 'ghcr.io/org/img:1';
const read = (bytes: Uint8Array): TartImage => parseTartImage(requireImage(parseManifest(bytes), NAME), NAME);
const why = (bytes: Uint8Array): readonly [string, string] => refusal(() => read(bytes));
const invalid = (rest: string): readonly [string, string] => ['MANIFEST_INVALID', `the manifest is invalid: ${rest}`];
const places = (file: DiskFile | undefined): number[][] | undefined =>
  file?.chunks.map((chunk) => [chunk.index, chunk.offset, chunk.size]);

/** A chunk of `size` decoded bytes with a blob and a content of its own. */
const chunk = (digit: string, size: number): Record<string, unknown> =>
  diskLayer({ digest: fakeDigest(digit), size }, { [SIZE]: String(size), [CONTENT]: fakeDigest(digit) });

describe('a flat image', () => {
  test('is a config, a disk of chunks, and NVRAM', () => {
    const image = read(tinyManifest({ annotations: { 'org.cirruslabs.tart.upload-time': '2024-05-21T15:21:28Z' } }));
    expect(image.layout).toBe('flat');
    expect(image.config.digest.toString()).toBe(fakeDigest('1'));
    expect(image.nvram.digest.toString()).toBe(fakeDigest('6'));
    expect(image.base.chunks.map((each) => each.contentDigest.toString())).toEqual([fakeDigest('3')]);
    expect(image.base.chunks[0]?.descriptor.digest.toString()).toBe(fakeDigest('2'));
    expect(image.base.size).toBe(4096);
    expect(image.uploadTime).toBe('2024-05-21T15:21:28Z');
  });

  test('places every chunk where the ones before it end, whatever their sizes', () => {
    // Tart 2.0-2.10 cut by encoded size, 2.11-2.13 at 500,000,000 bytes, later ones at 512 MiB (tart-formats §4.6).
    const sizes = [4194304, 29360128, 500000000, 536870912, 14];
    const layers = sizes.map((size, index) => chunk('abcde'.charAt(index), size));
    const image = read(manifestOf([configLayer(), ...layers, nvramLayer()]));
    expect(places(image.base)).toEqual([
      [0, 0, 4194304],
      [1, 4194304, 29360128],
      [2, 33554432, 500000000],
      [3, 533554432, 536870912],
      [4, 1070425344, 14],
    ]);
    expect(image.base.size).toBe(1070425358);
  });

  test('may have config and NVRAM anywhere, as images of Tart up to 2.35.0 may', () => {
    const image = read(manifestOf([nvramLayer(), chunk('2', 10), configLayer(), chunk('3', 20)]));
    expect(places(image.base)).toEqual([
      [0, 0, 10],
      [1, 10, 20],
    ]);
    expect(image.config.digest.toString()).toBe(fakeDigest('1'));
    expect(image.nvram.digest.toString()).toBe(fakeDigest('6'));
  });

  test('may use one blob in several places, and pays for it once', () => {
    const zeros = (): Record<string, unknown> => chunk('0', 1000);
    const image = read(manifestOf([configLayer(), zeros(), chunk('2', 500), zeros(), zeros(), nvramLayer()]));
    expect(places(image.base)).toEqual([
      [0, 0, 1000],
      [1, 1000, 500],
      [2, 1500, 1000],
      [3, 2500, 1000],
    ]);
    expect(transferBytes(image)).toBe(471 + 33554432 + 1000 + 500);
  });

  test('may leave out what Tart left out: disk size, and annotations of config and NVRAM', () => {
    const bare = { annotations: undefined };
    expect(read(manifestOf([configLayer(bare), diskLayer(), nvramLayer(bare)])).base.size).toBe(4096);
    const image = read(tinyManifest({ annotations: undefined }));
    expect([image.base.size, image.uploadTime]).toEqual([4096, undefined]);
  });

  test('may know the digest of the whole disk', () => {
    const image = read(manifestOf([configLayer(), diskLayer({}, { [FILE]: fakeDigest('9') }), nvramLayer()]));
    expect([image.layout, image.base.fileDigest?.toString()]).toEqual(['flat', fakeDigest('9')]);
  });

  test('may write its numbers with zeros and a plus in front', () => {
    const layers = [configLayer(), diskLayer({}, { [SIZE]: '+0004096' }), nvramLayer()];
    expect(read(tinyManifest({ layers, annotations: { [DISK_SIZE]: '04096' } })).base.size).toBe(4096);
  });

  test('that a stacked clone was made from says the size of the disk in blocks, not of its file', () => {
    const layers = [configLayer(), diskLayer({}, { [FILE]: fakeDigest('9') }), nvramLayer()];
    const image = read(tinyManifest({ layers, annotations: { [DISK_SIZE]: '51200', [BLOCK_SIZE]: '512' } }));
    expect([image.layout, image.base.size]).toEqual(['flat', 4096]);
  });

  test('as the fixtures make it has true digests', () => {
    const fixture = tinyImage();
    const image = read(fixture.manifest);
    expect(image.manifest.digest.toString()).toBe(fixture.digest);
    expect(places(image.base)).toEqual([
      [0, 0, 8192],
      [1, 8192, 4096],
    ]);
    const blobs = [
      image.manifest.config,
      image.config,
      image.nvram,
      ...allChunks(image).map((each) => each.descriptor),
    ];
    expect(blobs.map((blob) => fixture.blobs.get(blob.digest.toString())?.length)).toEqual(
      blobs.map(({ size }) => size),
    );
    expect(image.base.chunks[1]?.contentDigest.toString()).toBe(sha256(fixture.disk.subarray(8192)));
  });
});

describe('a stacked image', () => {
  const base = (): Record<string, unknown> => diskLayer({}, { [FILE]: fakeDigest('9') });
  const overlay = (digit: string, size: number, groupOf?: number): Record<string, unknown> =>
    overlayLayer({ digest: fakeDigest(digit), size }, groupOf, { [SIZE]: String(size), [CONTENT]: fakeDigest(digit) });
  const stacked = (...above: unknown[]): Uint8Array => manifestOf([configLayer(), base(), ...above, nvramLayer()]);

  test('is a base under overlays, bottom to top, each a file of its own', () => {
    const image = read(
      manifestOf(
        [
          configLayer(),
          base(),
          chunk('4', 10),
          overlay('a', 100, 2),
          overlay('b', 50),
          overlay('c', 7, 1),
          nvramLayer(),
        ],
        { annotations: { [DISK_SIZE]: '1048576', [BLOCK_SIZE]: '4096' } },
      ),
    );
    expect(image.layout).toBe('stacked');
    const { overlays, blockSize } = image as Extract<TartImage, { layout: 'stacked' }>;
    expect(blockSize).toBe(4096);
    expect(image.base.fileDigest?.toString()).toBe(fakeDigest('9'));
    expect(places(image.base)).toEqual([
      [0, 0, 4096],
      [1, 4096, 10],
    ]);
    expect(overlays.map(places)).toEqual([
      [
        [0, 0, 100],
        [1, 100, 50],
      ],
      [[0, 0, 7]],
    ]);
    expect(overlays.map((each) => [each.size, each.fileDigest?.toString()])).toEqual([
      [150, fakeDigest('9')],
      [7, fakeDigest('9')],
    ]);
    expect(allChunks(image).map((each) => each.descriptor.digest.toString())).toEqual(
      ['2', '4', 'a', 'b', 'c'].map(fakeDigest),
    );
    expect(transferBytes(image)).toBe(471 + 33554432 + 1024 + 10 + 100 + 50 + 7);
  });

  test('may lack the block size', () => {
    const image = read(stacked(overlay('a', 1, 1)));
    expect(image).toMatchObject({ layout: 'stacked', blockSize: undefined });
  });

  test('needs the digest of the whole base', () => {
    expect(why(manifestOf([configLayer(), diskLayer(), overlay('a', 1, 1), nvramLayer()]))).toEqual(
      invalid(`the base disk of a stacked image has no annotation ${FILE}`),
    );
  });

  test('needs a base', () => {
    expect(why(manifestOf([configLayer(), overlay('a', 1, 1), nvramLayer()]))).toEqual(
      invalid('layers have no chunk of the disk'),
    );
  });

  test.each<[string, unknown[], string]>([
    ['no count', [overlay('a', 1)], `overlay 0 has no annotation ${COUNT}`],
    ['a count of 0', [overlay('a', 1, 0)], `overlay 0 has the annotation ${COUNT} "0", not a usable number`],
    ['a count of -1', [overlay('a', 1, -1)], `overlay 0 has the annotation ${COUNT} "-1", not a usable number`],
    ['a count beyond the end', [overlay('a', 1, 3), overlay('b', 1)], 'overlay 0 says it has 3 chunks, 2 are left'],
    ['a count that is short', [overlay('a', 1, 1), overlay('b', 1)], `overlay 1 has no annotation ${COUNT}`],
    [
      'a count that swallows the next overlay',
      [overlay('a', 1, 2), overlay('b', 1, 1)],
      `overlay 0 chunk 1 has the annotation ${FILE}, which belongs to the first chunk of a file`,
    ],
    [
      'a disk chunk in a group',
      [overlay('a', 1, 2), chunk('5', 1)],
      'layers have one of type "application/vnd.cirruslabs.tart.disk.v2" above an overlay',
    ],
    [
      'a disk chunk above an overlay',
      [overlay('a', 1, 1), chunk('5', 1), overlay('b', 1, 1)],
      'layers have one of type "application/vnd.cirruslabs.tart.disk.v2" above an overlay',
    ],
  ])('with %s is refused', (_, above, rest) => {
    expect(why(stacked(...above))).toEqual(invalid(rest));
  });

  test('needs the digest of every whole overlay', () => {
    const nameless = overlayLayer({}, undefined, { [COUNT]: '1' });
    expect(why(stacked(overlay('a', 1, 1), nameless))).toEqual(invalid(`overlay 1 has no annotation ${FILE}`));
  });

  test.each<[Record<string, string>, string]>([
    [{ [BLOCK_SIZE]: '0' }, `annotations["${BLOCK_SIZE}"] is "0", not a usable number`],
    [{ [BLOCK_SIZE]: '4 KiB' }, `annotations["${BLOCK_SIZE}"] is "4 KiB", not a usable number`],
    [
      { [BLOCK_SIZE]: '4096', [DISK_SIZE]: '10000' },
      `annotations["${DISK_SIZE}"] says 10000 bytes, which are not whole blocks of 4096`,
    ],
  ])('with %j has no block layout', (annotations, rest) => {
    expect(why(manifestOf([configLayer(), base(), overlay('a', 1, 1), nvramLayer()], { annotations }))).toEqual(
      invalid(rest),
    );
  });
});

describe('numbers that decide what is written (C10, C11)', () => {
  test.each([
    [''],
    ['0'],
    ['-1'],
    ['1e3'],
    ['0x10'],
    [' 12 '],
    ['1.5'],
    ['9007199254740993'],
    ['18446744073709551616'],
  ])('a chunk cannot have %j bytes', (size) => {
    const layers = [configLayer(), chunk('4', 10), diskLayer({}, { [SIZE]: size }), nvramLayer()];
    expect(why(manifestOf(layers))).toEqual(
      invalid(`disk chunk 1 has the annotation ${SIZE} "${size}", not a usable number`),
    );
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['no size', { [SIZE]: undefined }, `disk chunk 0 has no annotation ${SIZE}`],
    ['no content digest', { [CONTENT]: undefined }, `disk chunk 0 has no annotation ${CONTENT}`],
    ['half a content digest', { [CONTENT]: 'sha256:12' }, `disk chunk 0: ${CONTENT} is not a digest: "sha256:12"`],
    ['an empty file digest', { [FILE]: '' }, `disk chunk 0: ${FILE} is not a digest: ""`],
    ['a count of chunks', { [COUNT]: '1' }, `disk chunk 0 has the annotation ${COUNT}, which only overlays have`],
  ])('a chunk cannot be annotated with %s', (_, annotations, rest) => {
    expect(why(manifestOf([configLayer(), diskLayer({}, annotations), nvramLayer()]))).toEqual(invalid(rest));
  });

  test('an algorithm we cannot check is unsupported', () => {
    const layer = diskLayer({}, { [CONTENT]: 'md5:d41d8cd98f00b204e9800998ecf8427e' });
    expect(why(manifestOf([configLayer(), layer, nvramLayer()]))).toEqual([
      'MEDIA_UNSUPPORTED',
      `disk chunk 0: ${CONTENT} of the manifest is a md5 digest, only sha256 and sha512 are supported`,
    ]);
  });

  test('only the first chunk may say where a file starts', () => {
    const layers = [configLayer(), chunk('4', 10), diskLayer({}, { [FILE]: fakeDigest('9') }), nvramLayer()];
    expect(why(manifestOf(layers))).toEqual(
      invalid(`disk chunk 1 has the annotation ${FILE}, which belongs to the first chunk of a file`),
    );
  });

  test('a chunk cannot decode to more than LZ4 can make of it', () => {
    const layers = (size: number): Uint8Array =>
      manifestOf([configLayer(), diskLayer({}, { [SIZE]: String(size) }), nvramLayer()]);
    expect(read(layers(1024 * 256)).base.size).toBe(262144);
    expect(why(layers(1024 * 256 + 1))).toEqual(
      invalid('disk chunk 0 claims to decode 1024 bytes to 262145, which LZ4 cannot'),
    );
  });

  test('a disk cannot be larger than 16 TiB, however the chunks share it', () => {
    const half = (digit: string, more = 0): Record<string, unknown> => chunk(digit, 8 * 1024 ** 4 + more);
    expect(read(manifestOf([configLayer(), half('4'), half('5'), nvramLayer()])).base.size).toBe(17592186044416);
    expect(why(manifestOf([configLayer(), half('4'), half('5', 1), nvramLayer()]))).toEqual(
      invalid('the disk is larger than 16 TiB'),
    );
  });

  test.each<[string, string]>([
    ['4095', 'says 4095 bytes, the chunks add up to 4096'],
    ['8192', 'says 8192 bytes, the chunks add up to 4096'],
    ['0', 'is "0", not a usable number'],
    ['', 'is "", not a usable number'],
    ['4e3', 'is "4e3", not a usable number'],
    ['\u001b[2J', String.raw`is "\u001b[2J", not a usable number`],
  ])('the disk cannot have %j bytes while its chunks have 4096', (size, rest) => {
    expect(why(tinyManifest({ annotations: { [DISK_SIZE]: size } }))).toEqual(
      invalid(`annotations["${DISK_SIZE}"] ${rest}`),
    );
  });

  test('one blob cannot decode to two things', () => {
    const rest = `chunks of the blob ${fakeDigest('2')} claim that it decodes to different contents`;
    const again = (annotations: Record<string, string>): Uint8Array =>
      manifestOf([configLayer(), diskLayer(), diskLayer({}, annotations), nvramLayer()]);
    expect(why(again({ [SIZE]: '4097' }))).toEqual(invalid(rest));
    expect(why(again({ [CONTENT]: fakeDigest('4') }))).toEqual(invalid(rest));
  });
});

describe('layers that must be there once (C23)', () => {
  test.each<[string, unknown[], string]>([
    ['no config', [diskLayer(), nvramLayer()], 'layers have no VM config'],
    ['two configs', [configLayer(), configLayer(), diskLayer(), nvramLayer()], 'layers have the VM config 2 times'],
    ['no NVRAM', [configLayer(), diskLayer()], 'layers have no NVRAM'],
    [
      'three NVRAMs',
      [configLayer(), diskLayer(), nvramLayer(), nvramLayer(), nvramLayer()],
      'layers have the NVRAM 3 times',
    ],
    ['no disk', [configLayer(), nvramLayer()], 'layers have no chunk of the disk'],
    ['only NVRAM', [nvramLayer()], 'layers have no VM config'],
  ])('an image with %s is refused', (_, layers, rest) => {
    expect(why(manifestOf(layers))).toEqual(invalid(rest));
  });

  test('a config of more than 16 MiB is none', () => {
    expect(why(manifestOf([configLayer({ size: 16777217 }), diskLayer(), nvramLayer()]))).toEqual([
      'MANIFEST_TOO_LARGE',
      'the VM config of ghcr.io/org/img:1 has 16777217 bytes, the limit is 16777216',
    ]);
  });
});

describe('images of another kind are named (C18)', () => {
  const layer = (mediaType: string): Record<string, unknown> => diskLayer({ mediaType }, {});

  test.each<[string, unknown[], string, string]>([
    [
      'a Vetu image',
      [layer('application/vnd.cirruslabs.vetu.config.v1'), layer('application/vnd.cirruslabs.vetu.disk.v1')],
      'is a Vetu image',
      'use vetu for it',
    ],
    [
      'a disk of Tart 1',
      [configLayer(), layer('application/vnd.cirruslabs.tart.disk.v1'), nvramLayer()],
      'has a disk in the format of Tart before 2.0',
      'pull it with Tart 2.31 and push it again',
    ],
    [
      'a layer from the future',
      [configLayer(), diskLayer(), layer('application/vnd.cirruslabs.tart.disk.v3'), nvramLayer()],
      'has a layer of unknown type "application/vnd.cirruslabs.tart.disk.v3" (layers[2])',
      'a newer Tartlet may know it',
    ],
    [
      'a foreign layer behind the NVRAM',
      [configLayer(), diskLayer(), nvramLayer(), layer('text/\u001b[31mred')],
      String.raw`has a layer of unknown type "text/\u001b[31mred" (layers[3])`,
      'a newer Tartlet may know it',
    ],
    [
      'a container image',
      [layer('application/vnd.oci.image.layer.v1.tar+gzip'), layer('application/vnd.oci.image.layer.v1.tar+gzip')],
      'is not a VM image: it has 2 layers, the first of type "application/vnd.oci.image.layer.v1.tar+gzip"',
      'check the name: this looks like a container image or another artifact',
    ],
    [
      'an artifact',
      [layer('application/vnd.cncf.helm.chart.content.v1.tar+gzip')],
      'is not a VM image: it has 1 layer, the first of type "application/vnd.cncf.helm.chart.content.v1.tar+gzip"',
      'check the name: this looks like a container image or another artifact',
    ],
    [
      'nothing',
      [],
      'is not a VM image: it has no layers and a config of type "application/vnd.oci.image.config.v1+json"',
      'check the name: this looks like a container image or another artifact',
    ],
  ])('%s', (_, layers, rest, next) => {
    const act = (): unknown => read(manifestOf(layers));
    expect(refusal(act)).toEqual(['MEDIA_UNSUPPORTED', `ghcr.io/org/img:1 ${rest}`]);
    expect(act).toThrow(expect.objectContaining({ facts: { subject: 'ghcr.io/org/img:1', next } }));
  });
});
