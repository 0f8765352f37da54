import { expect, it } from 'vitest';
import type { DiskFile } from '../../src/oci/disk-file.ts';
import { parseManifest, requireImage } from '../../src/oci/manifest.ts';
import { parseTartImage } from '../../src/oci/tart-image.ts';
import { cutDisk, DISK_CHUNK_BYTES } from '../../src/chunks/disk-cut.ts';
import { configLayer, diskLayer, manifestOf, nvramLayer } from '../support/tart-image.ts';

const MIB = 1024 * 1024;

/** The disk of an image with chunks of these sizes. */
function baseOf(...sizes: number[]): DiskFile {
  const chunks = sizes.map((size, index) =>
    diskLayer(
      { digest: `sha256:${String(index).padStart(64, '0')}`, size: size + 100 },
      { 'org.cirruslabs.tart.uncompressed-size': String(size) },
    ),
  );
  const manifest = manifestOf([configLayer(), ...chunks, nvramLayer()]);
  return parseTartImage(requireImage(parseManifest(manifest), 'base'), 'base').base;
}

it.each<[string, number, number | undefined, DiskFile | undefined, number[]]>([
  ['as Tart does', 1200 * MIB, undefined, undefined, [512 * MIB, 512 * MIB, 176 * MIB]],
  ['as wished', 10, 4, undefined, [4, 4, 2]],
  ['as wished, whatever the base', 10, 4, baseOf(5, 5), [4, 4, 2]],
  ['as the base', 10, undefined, baseOf(4, 4, 2), [4, 4, 2]],
  ['as the base, however unevenly that is cut', 12, undefined, baseOf(5, 1, 6), [5, 1, 6]],
  ['where it grew, on as the base began', 19, undefined, baseOf(4, 4, 2), [4, 4, 2, 4, 4, 1]],
  ['where it shrank, to its own end', 9, undefined, baseOf(4, 4, 2), [4, 4, 1]],
  ['beyond the only chunk of a base, as Tart does', 600 * MIB, undefined, baseOf(10), [10, 512 * MIB, 88 * MIB - 10]],
])('a disk is cut %s', (_, size, step, base, sizes) => {
  const extents = cutDisk(size, step, base);
  expect(extents.map((extent) => extent.size)).toEqual(sizes);
  let end = 0;
  for (const { offset, size: bytes } of extents) {
    expect(offset).toBe(end);
    end += bytes;
  }
  expect(end).toBe(size);
});

it('a base of absurdly small chunks is not followed to where no manifest could name them', () => {
  expect(cutDisk(1024 * MIB, undefined, baseOf(8, 8))).toEqual([
    { offset: 0, size: DISK_CHUNK_BYTES },
    { offset: DISK_CHUNK_BYTES, size: DISK_CHUNK_BYTES },
  ]);
});

it('a wish for more chunks than a manifest can name is refused, with one that could be', () => {
  expect(() => cutDisk(100_000 * MIB, MIB, undefined)).toThrow(
    expect.objectContaining({
      code: 'MANIFEST_TOO_LARGE',
      facts: { kept: 'nothing was sent', next: { kind: 'use-larger-chunks', mebibytes: 11 } },
    }),
  );
});
