import { describe, expect, it } from 'vitest';
import { renderDeletion, renderFreed } from '../../../src/cli/render/deletion.ts';
import { unusedFor } from '../../../src/cli/render/quantity.ts';
import { lastingText } from '../../../src/cli/render/transfer-view.ts';
import type { PruneReason } from '../../../src/home/prune/prune-choice.ts';
import type { Deletion } from '../../../src/home/prune/prune-measure.ts';
import { RemoteName } from '../../../src/names/remote-name.ts';

const NOW = new Date('2026-06-15T12:00:00Z');
const DAY = 24 * 60 * 60 * 1000;
const GB = 1_000_000_000;

/** An image of 38.2 GB that was not used for 12 days. */
function deletion(reason: PruneReason, reclaimableBytes: number | undefined): Deletion {
  const allocatedBytes = 38.2 * GB;
  const sharedBytes = reclaimableBytes === undefined ? undefined : allocatedBytes - reclaimableBytes;
  return {
    candidate: {
      kind: 'image',
      name: RemoteName.parse(`registry.corp:8221/macos/base@sha256:${'a'.repeat(64)}`),
      tags: ['14', 'old'].map((tag) => RemoteName.parse(`registry.corp:8221/macos/base:${tag}`)),
      path: '/image',
      bytes: allocatedBytes,
      accessed: new Date(NOW.getTime() - 12 * DAY),
      pinned: false,
    },
    reason,
    footprint: { logicalBytes: 50 * GB, allocatedBytes, sharedBytes, reclaimableBytes },
  };
}

describe('a deletion', () => {
  it.each([
    ['would', 'age', 31 * GB, 'last used 12 days ago, 38.2 GB allocated, 31.0 GB would be freed: the rest is shared'],
    ['did', 'age', 31 * GB, 'last used 12 days ago, 38.2 GB allocated, 31.0 GB freed: the rest is shared'],
    ['would', 'room', 38.2 * GB, 'last used 12 days ago, room is needed, 38.2 GB allocated, all of it would be freed'],
    ['did', 'unreferenced', 38.2 * GB, 'last used 12 days ago, no tag leads to it, 38.2 GB allocated, all of it freed'],
    [
      'would',
      'budget',
      undefined,
      'last used 12 days ago, does not fit into the budget, 38.2 GB allocated, how much of it is shared cannot be told here',
    ],
  ] as const)('that %s happen, for %s, of which %s is not shared', (mood, reason, reclaimable, facts) => {
    const verb = mood === 'would' ? 'would delete' : 'deleted';
    expect(renderDeletion(deletion(reason, reclaimable), NOW, mood)).toBe(
      `${verb} registry.corp:8221/macos/base:14, registry.corp:8221/macos/base:old\n  ${facts}\n`,
    );
  });

  it('frees in all exactly so much, or at least when something is shared', () => {
    const whole = deletion('age', 38.2 * GB);
    expect(renderFreed([whole, whole], 'would')).toBe('2 in all: 76.4 GB would be freed\n');
    expect(renderFreed([whole, deletion('age', 31 * GB)], 'did')).toBe('2 in all: at least 69.2 GB freed\n');
  });
});

it.each([
  [0, 'just now'],
  [90 * 60_000, '1 hour ago'],
  [DAY, '1 day ago'],
  [12.9 * DAY, '12 days ago'],
  [400 * DAY, '400 days ago'],
])('what was not used for %i ms was used %s', (milliseconds, text) => {
  expect(unusedFor(milliseconds)).toBe(text);
});

it.each([
  ['room', 'room was needed'],
  ['replaced', 'its last tag moved'],
] as const)('what a transfer deletes is said, and why: %s', (why, text) => {
  const event = {
    kind: 'deleted',
    subject: 'h/a:1',
    name: 'h/a@sha256:1',
    bytes: 5 * GB,
    unusedMs: 3 * DAY,
    why,
  } as const;
  expect(lastingText(event)).toBe(`deleted h/a@sha256:1: last used 3 days ago, 5.0 GB, ${text}`);
});
