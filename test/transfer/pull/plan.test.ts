import { describe, expect, it } from 'vitest';
import type { DiskFile } from '../../../src/oci/disk-file.ts';
import { parseManifest, requireImage } from '../../../src/oci/manifest.ts';
import { parseTartImage } from '../../../src/oci/tart-image.ts';
import {
  type ChunkLocation,
  planFile,
  type PullPlan,
  spaceNeeded,
  summarize,
  type LocalState,
} from '../../../src/transfer/pull/plan.ts';
import type { Seed } from '../../../src/session/plan-summary.ts';
import { configLayer, diskLayer, fakeDigest, manifestOf, nvramLayer } from '../../support/tart-image.ts';

const CHUNK = 1000;

/** A disk of chunks of 1000 bytes, each stored in 100; the same digit is the same content in the same blob. */
function imageOf(digits: string) {
  const chunks = digits.split('').map((digit) =>
    diskLayer(
      { digest: fakeDigest(digit), size: 100 },
      {
        'org.cirruslabs.tart.uncompressed-size': String(CHUNK),
        'org.cirruslabs.tart.uncompressed-content-digest': fakeDigest(digit),
      },
    ),
  );
  const layers = [
    configLayer({ digest: fakeDigest('e'), size: 7 }),
    ...chunks,
    nvramLayer({ digest: fakeDigest('d'), size: 30 }),
  ];
  return parseTartImage(requireImage(parseManifest(manifestOf(layers)), 'test'), 'test');
}

function diskOf(digits: string): DiskFile {
  return imageOf(digits).base;
}

const seed = (name: string): Seed => ({ path: `/${name}`, size: 10 * CHUNK, kind: 'image', name });
const A = seed('A');
const B = seed('B');

/** `{ 1: [A, 0, 2] }`: content 1 lies on A as its chunks 0 and 2. */
function placesOf(places: Record<string, [Seed, ...number[]]>): ReadonlyMap<string, ChunkLocation> {
  return new Map(
    Object.entries(places).map(([digit, [each, ...indices]]) => [
      fakeDigest(digit),
      { seed: each, offsets: new Set(indices.map((index) => index * CHUNK)), blob: undefined },
    ]),
  );
}

const NOTHING: LocalState = {
  underWay: new Map(),
  pieces: new Map(),
  zeros: new Set(),
  partial: new Set(),
  isBegun: false,
  places: new Map(),
  canShare: false,
};

/** Each chunk's source in a word: `A1` is copied from the second chunk of A, `A=` shared with A. */
function words(digits: string, here: Partial<LocalState>): string {
  return planFile(diskOf(digits), { ...NOTHING, ...here })
    .chunks.map(({ source }) => {
      if (source.kind === 'copy') return `${source.seed.name}${source.offset / CHUNK}`;
      return source.kind === 'shared' ? `${source.seed.name}=` : source.kind;
    })
    .join(' ');
}

describe('where a chunk comes from', () => {
  it.each<[string, string, Partial<LocalState>, string]>([
    ['nothing is here', '123', {}, 'fetch fetch fetch'],
    ['zeros need nothing', '010', { zeros: new Set([fakeDigest('0')]) }, 'zero fetch zero'],
    ['what an earlier pull left stays', '123', { partial: new Set([1]), isBegun: true }, 'fetch partial fetch'],
    ['the same offset', '123', { places: placesOf({ 1: [A, 0], 2: [A, 1] }) }, 'A0 A1 fetch'],
    ['elsewhere', '123', { places: placesOf({ 3: [A, 0] }) }, 'fetch fetch A0'],
    [
      'a content that lies in several places comes from the one where it belongs',
      '11',
      { places: placesOf({ 1: [A, 1, 5] }) },
      'A1 A1',
    ],
    ['several seeds at once', '123', { places: placesOf({ 1: [A, 0], 3: [B, 7] }) }, 'A0 fetch B7'],
    [
      'zeros are not copied',
      '01',
      { zeros: new Set([fakeDigest('0')]), places: placesOf({ 0: [A, 0], 1: [A, 1] }) },
      'zero A1',
    ],
    [
      'partial before everything',
      '1',
      { partial: new Set([0]), isBegun: true, places: placesOf({ 1: [A, 0] }) },
      'partial',
    ],
    [
      'blocks are shared with the seed of most',
      '1234',
      { canShare: true, places: placesOf({ 1: [A, 0], 2: [A, 1], 3: [A, 2], 4: [B, 3] }) },
      'A= A= A= B3',
    ],
    [
      'of a shared seed, what lies elsewhere is copied',
      '1234',
      { canShare: true, places: placesOf({ 1: [A, 0], 2: [A, 1], 3: [A, 2], 4: [A, 0] }) },
      'A= A= A= A0',
    ],
    [
      'zeros of a shared seed stay',
      '0123',
      { canShare: true, zeros: new Set([fakeDigest('0')]), places: placesOf({ 0: [A, 0], 1: [A, 1], 2: [A, 2] }) },
      'A= A= A= fetch',
    ],
    [
      'zeros are nothing that a seed must have to be cloned',
      '00123',
      { canShare: true, zeros: new Set([fakeDigest('0')]), places: placesOf({ 1: [A, 2], 2: [A, 3] }) },
      'zero zero A= A= fetch',
    ],
    [
      'for half of a disk, no seed is cloned whole',
      '1234',
      { canShare: true, places: placesOf({ 1: [A, 0], 2: [A, 1] }) },
      'A0 A1 fetch fetch',
    ],
    [
      'what was begun is not replaced by a clone',
      '1234',
      { canShare: true, isBegun: true, places: placesOf({ 1: [A, 0], 2: [A, 1], 3: [A, 2] }) },
      'A0 A1 A2 fetch',
    ],
  ])('%s', (_, digits, here, expected) => {
    expect(words(digits, here)).toBe(expected);
  });
});

describe('what a plan comes to', () => {
  function planOf(digits: string, here: Partial<LocalState>, vmFileBytes = 37): PullPlan {
    const image = imageOf(digits);
    return { image, files: [planFile(image.base, { ...NOTHING, ...here })], storedBytes: 0, vmFileBytes };
  }

  const mixed = planOf('012345566', {
    zeros: new Set([fakeDigest('0')]),
    partial: new Set([1]),
    isBegun: true,
    places: placesOf({ 2: [A, 1], 3: [B, 0], 4: [B, 1] }),
  });

  it('adds up to the disk, counts a repeated blob once, and names the largest seed first', () => {
    expect(summarize(mixed)).toEqual({
      fetchBytes: 37 + 200,
      diskBytes: 9000,
      reused: [
        { seed: B, bytes: 2000, chunks: 2 },
        { seed: A, bytes: 1000, chunks: 1 },
      ],
      zeroBytes: 1000,
      partialBytes: 1000,
      storedBytes: 0,
      chunks: { fetch: 4, reuse: 3, zero: 1, partial: 1 },
    });
  });

  it('needs space for what is fetched and copied, between encoded and decoded', () => {
    expect(spaceNeeded(mixed)).toEqual({ atLeast: 37 + 700, atMost: 37 + 7000 });
  });

  it('needs none for shared blocks', () => {
    const shared = planOf('1234', { canShare: true, places: placesOf({ 1: [A, 0], 2: [A, 1], 3: [A, 2] }) });
    expect(spaceNeeded(shared)).toEqual({ atLeast: 137, atMost: 1037 });
  });

  it('of an image that is here, all is stored', () => {
    const image = imageOf('12');
    const plan: PullPlan = { image, files: [], storedBytes: 2000, vmFileBytes: 0 };
    expect(summarize(plan)).toMatchObject({ fetchBytes: 0, diskBytes: 2000, storedBytes: 2000, reused: [] });
    expect(spaceNeeded(plan)).toEqual({ atLeast: 0, atMost: 0 });
  });
});
