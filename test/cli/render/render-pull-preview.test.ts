import { describe, expect, it } from 'vitest';
import { previewJson, previewText } from '../../../src/cli/render/pull-preview.ts';
import { Digest } from '../../../src/names/digest.ts';
import { RemoteName } from '../../../src/names/remote-name.ts';
import type { PullPreview } from '../../../src/transfer/pull/pull-preview.ts';

const GB = 1_000_000_000;
const HEX = '1'.repeat(64);
const NAME = 'registry.example:8221/macos/base:15';

const preview: PullPreview = {
  name: RemoteName.parse(NAME),
  digest: Digest.sha256(HEX),
  status: 'pulled',
  plan: {
    fetchBytes: 1.2 * GB,
    diskBytes: 50 * GB,
    reused: [
      {
        seed: { path: '/x', size: 50 * GB, kind: 'image', name: 'registry.example:8221/macos/base:14' },
        bytes: 40 * GB,
        chunks: 80,
      },
      { seed: { path: '/y', size: 50 * GB, kind: 'vm', name: 'ci' }, bytes: 2 * GB, chunks: 1 },
    ],
    zeroBytes: 3 * GB,
    partialBytes: 0,
    storedBytes: 0,
    chunks: { fetch: 4, reuse: 81, zero: 6, partial: 0 },
  },
  fromPeers: { bytes: 0, chunks: 0 },
  deletions: [],
  space: { atLeast: GB, atMost: 2 * GB, free: 80 * GB },
};

describe('for people', () => {
  it('what a pull would do, and whether there is room', () => {
    expect(previewText(preview)).toBe(
      `${NAME} (sha256:${HEX})\n` +
        'What  Size    Chunks    From                               \n' +
        'fetch 1.2 GB  4 chunks  the registry                       \n' +
        'reuse 40.0 GB 80 chunks registry.example:8221/macos/base:14\n' +
        'reuse 2.0 GB  1 chunk   the VM ci                          \n' +
        'zero  3.0 GB  6 chunks\n' +
        'disk of 50.0 GB; space needed 1.0 GB to 2.0 GB, free 80.0 GB\n',
    );
  });

  it('that there is not enough room', () => {
    const full = { ...preview, space: { atLeast: 2 * GB, atMost: 2 * GB, free: GB } };
    expect(previewText(full)).toContain('space needed 2.0 GB, free 1.0 GB: that is not enough\n');
  });

  it.each([
    ['present', 'is up to date'],
    ['linked', 'is cached already and would get its tag'],
  ] as const)('that it is %s', (status, words) => {
    expect(previewText({ ...preview, status })).toBe(`${NAME} (sha256:${HEX}) ${words}\n`);
  });
});

it('for programs, all in whole bytes', () => {
  expect(previewJson(preview)).toEqual({
    schema: 'tartlet.pull-plan/v1',
    name: NAME,
    digest: `sha256:${HEX}`,
    status: 'pull',
    diskBytes: 50_000_000_000,
    fetchBytes: 1_200_000_000,
    peerBytes: 0,
    reusedBytes: 42_000_000_000,
    reusedFrom: [
      { kind: 'image', name: 'registry.example:8221/macos/base:14', bytes: 40_000_000_000, chunks: 80 },
      { kind: 'vm', name: 'ci', bytes: 2_000_000_000, chunks: 1 },
    ],
    partialBytes: 0,
    storedBytes: 0,
    zeroBytes: 3_000_000_000,
    chunks: { fetch: 4, reuse: 81, zero: 6, partial: 0 },
    space: { neededBytes: 2_000_000_000, leastBytes: 1_000_000_000, freeBytes: 80_000_000_000, fits: true },
    deletions: [],
  });
});
