import { expect, it } from 'vitest';
import { estimateStart, littleGainOf, withRate, type StartEstimate } from '../../src/lazy-disk/estimate.ts';
import { Digest } from '../../src/names/digest.ts';
import type { DiskChunk } from '../../src/oci/tart-image.ts';

const MIB = 1024 ** 2;
const NO_ZEROS: ReadonlySet<string> = new Set();

/** Chunks of one size, each in a blob of its own. */
function chunksOf(count: number, size: number, blobBytes: number): DiskChunk[] {
  return Array.from({ length: count }, (_, index) => {
    const digest = Digest.of(Buffer.from(`blob ${index}`));
    const descriptor = { mediaType: 'application/x', digest, size: blobBytes, annotations: new Map() };
    const contentDigest = Digest.of(Buffer.from(`content ${index}`));
    return { index, descriptor, offset: index * size, size, contentDigest };
  });
}

it.each([
  [0.5, 0.051],
  [1, 0.051],
  [2, 0.069],
  [4, 0.087],
  [16, 0.148],
  [32, 0.18],
  [64, 0.243],
  [128, 0.327],
  [256, 0.412],
  [512, 0.497],
  [4096, 0.497],
])('takes for units of %f MiB the share that was measured, or what lies between two', (mib, share) => {
  // The first unit counts as a whole.
  const { startBytes } = estimateStart({ chunks: chunksOf(2, mib * MIB, 1e6), zeros: NO_ZEROS, unit: 'chunk' });
  expect(startBytes / 1e6).toBeCloseTo(1 + share, 6);
});

it('counts 16 MiB layers as they were measured, and the first of them as a whole', () => {
  // The measured image: 199 layers, 1.43 GB.
  const chunks = chunksOf(199, 16 * MIB, 7_186_000);
  expect(estimateStart({ chunks, zeros: NO_ZEROS, unit: 'chunk' })).toStrictEqual({
    startBytes: 217_764_544,
    wholeBytes: 1_430_014_000,
    partBytes: 7_186_000,
    partDiskBytes: 16 * MIB,
    bytesPerSecond: undefined,
  });
});

it('counts pieces of 1 MiB where there are some, however large the layers are', () => {
  const chunks = chunksOf(7, 512 * MIB, 204_800_000);
  const byLayer = estimateStart({ chunks, zeros: NO_ZEROS, unit: 'chunk' });
  const byPiece = estimateStart({ chunks, zeros: NO_ZEROS, unit: 'piece' });
  expect(byLayer).toMatchObject({ partBytes: 204_800_000, startBytes: 815_513_600 });
  expect(byPiece).toMatchObject({ partBytes: 400_000, partDiskBytes: MIB, startBytes: 73_493_200 });
});

it('counts what an earlier start has touched where that is known: pieces, or the layers around them', () => {
  const chunks = chunksOf(10, 4 * MIB, 1_000_000);
  // Three pieces of the first layer, one of the last; what comes twice, or lies behind the end, is nothing.
  const order = [1, 0, 3, 39, 1, 4000];
  const of = (unit: 'chunk' | 'piece'): number => estimateStart({ chunks, zeros: NO_ZEROS, unit, order }).startBytes;
  expect(of('piece')).toBe(1_000_000);
  expect(of('chunk')).toBe(2_000_000);
});

it('counts a blob once, and zeros not at all', () => {
  const [first, second, zero] = chunksOf(3, MIB, 1000) as [DiskChunk, DiskChunk, DiskChunk];
  const again = { ...first, index: 3, offset: 3 * MIB };
  const zeros = new Set([zero.contentDigest.toString()]);
  expect(estimateStart({ chunks: [first, second, zero, again], zeros, unit: 'chunk' })).toMatchObject({
    wholeBytes: 2000,
    startBytes: 1051,
  });
  expect(estimateStart({ chunks: [zero], zeros, unit: 'chunk' })).toMatchObject({ wholeBytes: 0, startBytes: 0 });
});

it('counts no more than is left of an image', () => {
  const estimate = estimateStart({ chunks: chunksOf(199, 16 * MIB, 7_000_000), zeros: NO_ZEROS, unit: 'chunk' });
  const half = withRate(estimate, { bytesPerSecond: 1000, leftBytes: estimate.wholeBytes / 2 });
  expect(half.startBytes).toBe(Math.round(estimate.startBytes / 2));
  expect(half.bytesPerSecond).toBe(1000);
  expect(withRate(estimate, { bytesPerSecond: 1000, leftBytes: undefined }).wholeBytes).toBe(estimate.wholeBytes);
});

const MB = 1e6;

it.each([
  // what, start, whole, part, part on the disk (MiB), rate (MB/s), why not
  ['16 MiB layers at 100 Mbit/s', 218, 1430, 7, 16, 12.5, undefined],
  ['16 MiB layers at an unknown rate', 218, 1430, 7, 16, undefined, undefined],
  ['layers of 512 MiB at an unknown rate', 815, 1430, 242, 512, undefined, 'parts-too-large'],
  ['layers of 512 MiB at 100 Mbit/s', 815, 1430, 242, 512, 12.5, 'parts-too-large'],
  ['layers of 512 MiB of a large image at 1 Gbit/s', 9000, 20_000, 240, 512, 125, undefined],
  ['layers of 512 MiB with pieces at 100 Mbit/s', 73, 1430, 0.5, 1, 12.5, undefined],
  ['32 MiB layers on a very slow link', 260, 1430, 15, 32, 1, undefined],
  ['an image that is here in 3 s', 60, 300, 7, 16, 100, 'whole-is-quick'],
  ['an image that is here in 4 s', 60, 400, 7, 16, 100, undefined],
  ['an image of which nothing has to be fetched', 0, 0, 7, 16, 0, 'whole-is-quick'],
  ['an image of two layers', 150, 200, 100, 32, 10, 'start-needs-most'],
] as const)('decides for %s', (_, start, whole, part, diskMib, rate, why) => {
  const estimate: StartEstimate = {
    startBytes: start * MB,
    wholeBytes: whole * MB,
    partBytes: part * MB,
    partDiskBytes: diskMib * MIB,
    bytesPerSecond: rate === undefined ? undefined : rate * MB,
  };
  expect(littleGainOf(estimate)).toBe(why);
});
