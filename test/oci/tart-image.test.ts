import { describe, expect, it } from 'vitest';
import { allChunks, transferBytes } from '../../src/oci/tart-image.ts';
import {
  configLayer,
  diskLayer,
  fakeDigest,
  manifestOf,
  nvramLayer,
  sha256,
  storedStream,
  tinyImage,
  tinyManifest,
} from '../support/tart-image.ts';
import { BLOCK_SIZE, chunk, DISK_SIZE, FILE, places, read, SIZE, why } from './reading.ts';
import { invalid, refusal } from './refusal.ts';

describe('a flat image', () => {
  it('is a config, a disk of chunks, and NVRAM', () => {
    const image = read(tinyManifest({ annotations: { 'org.cirruslabs.tart.upload-time': '2024-05-21T15:21:28Z' } }));
    expect(image.layout).toBe('flat');
    expect(image.config.digest.toString()).toBe(fakeDigest('1'));
    expect(image.nvram.digest.toString()).toBe(fakeDigest('6'));
    expect(image.base.chunks.map((each) => each.contentDigest.toString())).toEqual([fakeDigest('3')]);
    expect(image.base.chunks[0]?.descriptor.digest.toString()).toBe(fakeDigest('2'));
    expect(image.base.size).toBe(4096);
    expect(image.uploadTime).toBe('2024-05-21T15:21:28Z');
  });

  it('places every chunk where the ones before it end, whatever their sizes', () => {
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

  it('may have config and NVRAM anywhere, as images of Tart up to 2.35.0 may', () => {
    const image = read(manifestOf([nvramLayer(), chunk('2', 10), configLayer(), chunk('3', 20)]));
    expect(places(image.base)).toEqual([
      [0, 0, 10],
      [1, 10, 20],
    ]);
    expect(image.config.digest.toString()).toBe(fakeDigest('1'));
    expect(image.nvram.digest.toString()).toBe(fakeDigest('6'));
  });

  it('may use one blob in several places, and pays for it once', () => {
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

  it('may leave out what Tart left out: disk size, and annotations of config and NVRAM', () => {
    const bare = { annotations: undefined };
    expect(read(manifestOf([configLayer(bare), diskLayer(), nvramLayer(bare)])).base.size).toBe(4096);
    const image = read(tinyManifest({ annotations: undefined }));
    expect([image.base.size, image.uploadTime]).toEqual([4096, undefined]);
  });

  it('may know the digest of the whole disk', () => {
    const image = read(manifestOf([configLayer(), diskLayer({}, { [FILE]: fakeDigest('9') }), nvramLayer()]));
    expect([image.layout, image.base.fileDigest?.toString()]).toEqual(['flat', fakeDigest('9')]);
  });

  it('may write its numbers with zeros and a plus in front', () => {
    const layers = [configLayer(), diskLayer({}, { [SIZE]: '+0004096' }), nvramLayer()];
    expect(read(tinyManifest({ layers, annotations: { [DISK_SIZE]: '04096' } })).base.size).toBe(4096);
  });

  it('that a stacked clone was made from says the size of the disk in blocks, not of its file', () => {
    const layers = [configLayer(), diskLayer({}, { [FILE]: fakeDigest('9') }), nvramLayer()];
    const image = read(tinyManifest({ layers, annotations: { [DISK_SIZE]: '51200', [BLOCK_SIZE]: '512' } }));
    expect([image.layout, image.base.size]).toEqual(['flat', 4096]);
  });

  it('as the fixtures make it has true streams and digests', () => {
    // An Apple-made stream (tart-formats §10.3) shows that the fixtures store chunks as real images do.
    expect(Buffer.from(storedStream(Buffer.from('Hello, World!\n'))).toString('hex')).toBe(
      '6276342d0e00000048656c6c6f2c20576f726c64210a62763424',
    );
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

describe('layers that must be there once (C23)', () => {
  it.each<[string, unknown[], string]>([
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

  it('a config of more than 16 MiB is none', () => {
    expect(read(manifestOf([configLayer({ size: 16777216 }), diskLayer(), nvramLayer()])).config.size).toBe(16777216);
    expect(why(manifestOf([configLayer({ size: 16777217 }), diskLayer(), nvramLayer()]))).toEqual([
      'MANIFEST_TOO_LARGE',
      'the VM config of ghcr.io/org/img:1 has 16777217 bytes, the limit is 16777216',
    ]);
  });
});

describe('images of another kind are named (C18)', () => {
  const layer = (mediaType: string): Record<string, unknown> => diskLayer({ mediaType }, {});

  it.each<[string, unknown[], string, string]>([
    [
      'a Vetu image',
      [layer('application/vnd.cirruslabs.vetu.config.v1'), layer('application/vnd.cirruslabs.vetu.disk.v1')],
      'is a Vetu image',
      'use-vetu',
    ],
    [
      'a disk of Tart 1',
      [configLayer(), layer('application/vnd.cirruslabs.tart.disk.v1'), nvramLayer()],
      'has a disk in the format of Tart before 2.0',
      'push-again-with-tart-2',
    ],
    [
      'a layer from the future',
      [configLayer(), diskLayer(), layer('application/vnd.cirruslabs.tart.disk.v3'), nvramLayer()],
      'has a layer of unknown type "application/vnd.cirruslabs.tart.disk.v3" (layers[2])',
      'use-newer-version',
    ],
    [
      'a foreign layer behind the NVRAM',
      [configLayer(), diskLayer(), nvramLayer(), layer('text/\u001b[31mred')],
      String.raw`has a layer of unknown type "text/\u001b[31mred" (layers[3])`,
      'use-newer-version',
    ],
    [
      'a container image',
      [layer('application/vnd.oci.image.layer.v1.tar+gzip'), layer('application/vnd.oci.image.layer.v1.tar+gzip')],
      'is not a VM image: it has 2 layers, the first of type "application/vnd.oci.image.layer.v1.tar+gzip"',
      'is-no-vm-image',
    ],
    [
      'an artifact',
      [layer('application/vnd.cncf.helm.chart.content.v1.tar+gzip')],
      'is not a VM image: it has 1 layer, the first of type "application/vnd.cncf.helm.chart.content.v1.tar+gzip"',
      'is-no-vm-image',
    ],
    [
      'a Tart of the future',
      [layer('application/vnd.cirruslabs.tart.vm.v2'), layer('application/vnd.cirruslabs.tart.storage.v1')],
      'is a VM image of a version of Tart that is not known here: ' +
        'its layers are of types like "application/vnd.cirruslabs.tart.vm.v2"',
      'use-that-tart',
    ],
    ...[
      'application/vnd.trycua.lume.disk.v1',
      'application/octet-stream+lz4',
      'application/vnd.oci.image.layer.v1.tar;part.number=1;part.total=41',
    ].map((type): [string, object[], string, string] => [
      `an image of lume with ${type}`,
      [layer(type), layer('application/octet-stream')],
      'is a VM image of lume, in a format of its own',
      'use-lume',
    ]),
    [
      'an image of lume, known by an annotation',
      [{ ...layer('application/octet-stream'), annotations: { 'org.trycua.lume.part.offset': '0' } }],
      'is a VM image of lume, in a format of its own',
      'use-lume',
    ],
    [
      'nothing',
      [],
      'is not a VM image: it has no layers and a config of type "application/vnd.oci.image.config.v1+json"',
      'is-no-vm-image',
    ],
  ])('%s', (_, layers, rest, kind) => {
    const act = (): unknown => read(manifestOf(layers));
    expect(refusal(act)).toEqual(['MEDIA_UNSUPPORTED', `ghcr.io/org/img:1 ${rest}`]);
    expect(act).toThrow(expect.objectContaining({ facts: { subject: 'ghcr.io/org/img:1', next: { kind } } }));
  });
});
