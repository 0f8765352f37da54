import { describe, expect, it } from 'vitest';
import { allChunks, type TartImage, transferBytes } from '../../src/oci/tart-image.ts';
import { configLayer, diskLayer, fakeDigest, manifestOf, nvramLayer, overlayLayer } from '../support/tart-image.ts';
import { BLOCK_SIZE, chunk, CONTENT, COUNT, DISK_SIZE, FILE, places, read, SIZE, why } from './reading.ts';
import { invalid } from './refusal.ts';

describe('a stacked image', () => {
  const base = (): Record<string, unknown> => diskLayer({}, { [FILE]: fakeDigest('9') });
  const overlay = (digit: string, size: number, groupOf?: number): Record<string, unknown> =>
    overlayLayer({ digest: fakeDigest(digit), size }, groupOf, { [SIZE]: String(size), [CONTENT]: fakeDigest(digit) });
  const stacked = (...above: unknown[]): Uint8Array => manifestOf([configLayer(), base(), ...above, nvramLayer()]);

  it('is a base under overlays, bottom to top, each a file of its own', () => {
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

  it('may lack the block size', () => {
    const image = read(stacked(overlay('a', 1, 1)));
    expect(image).toMatchObject({ layout: 'stacked', blockSize: undefined });
  });

  it('needs the digest of the whole base', () => {
    expect(why(manifestOf([configLayer(), diskLayer(), overlay('a', 1, 1), nvramLayer()]))).toEqual(
      invalid(`the base disk of a stacked image has no annotation ${FILE}`),
    );
  });

  it('needs a base', () => {
    expect(why(manifestOf([configLayer(), overlay('a', 1, 1), nvramLayer()]))).toEqual(
      invalid('layers have no chunk of the disk'),
    );
  });

  it.each<[string, unknown[], string]>([
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

  it('needs the digest of every whole overlay', () => {
    const nameless = overlayLayer({}, undefined, { [COUNT]: '1' });
    expect(why(stacked(overlay('a', 1, 1), nameless))).toEqual(invalid(`overlay 1 has no annotation ${FILE}`));
  });

  it.each<[Record<string, string>, string]>([
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
