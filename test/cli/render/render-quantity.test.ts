import { describe, expect, it } from 'vitest';
import { humanBytes, humanDuration, humanRate, isoSeconds, relativeTime } from '../../../src/cli/render/quantity.ts';

describe('bytes', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1 KB'],
    [524_288, '524 KB'],
    [999_499, '999 KB'],
    [999_500, '1 MB'],
    [1_900_000_000, '2 GB'],
    [50_000_000_000, '50 GB'],
    // A disk of 50 GB, its config and its NVRAM.
    [50_000_787_000, '50 GB'],
    [999_600_000_000, '1 TB'],
    [3_000_000_000_000_000_000, '3000 PB'],
  ])('%i in a table', (bytes, text) => {
    expect(humanBytes(bytes)).toBe(text);
  });

  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1500, '1.5 KB'],
    [999_940, '999.9 KB'],
    [999_960, '1.0 MB'],
    [12_345_678_901, '12.3 GB'],
  ])('%i while it grows', (bytes, text) => {
    expect(humanBytes(bytes, 1)).toBe(text);
  });

  it('per second', () => {
    expect(humanRate(110_240_000)).toBe('110.2 MB/s');
    expect(humanRate(0.4)).toBe('0 B/s');
  });
});

it.each([
  [0, '1s'],
  [400, '1s'],
  [1600, '2s'],
  [59_400, '59s'],
  [59_600, '1m 0s'],
  [62_000, '1m 2s'],
  [3_599_000, '59m 59s'],
  [7_380_000, '2h 3m'],
  [86_400_000, '1d 0h'],
  [273_600_000, '3d 4h'],
])('%i ms last %s', (milliseconds, text) => {
  expect(humanDuration(milliseconds)).toBe(text);
});

const NOW = new Date('2026-02-23T18:55:36.789Z');

it.each([
  ['2026-02-23T18:55:36.100Z', 'just now'],
  ['2026-02-23T18:55:35Z', '1 second ago'],
  ['2026-02-23T18:54:37Z', '59 seconds ago'],
  ['2026-02-23T18:54:36Z', '1 minute ago'],
  ['2026-02-23T18:52:00Z', '3 minutes ago'],
  ['2026-02-23T17:00:00Z', '1 hour ago'],
  ['2026-02-22T19:00:00Z', '23 hours ago'],
  ['2026-02-21T12:00:00Z', '2 days ago'],
  ['2026-02-16T12:00:00Z', '1 week ago'],
  ['2026-01-20T12:00:00Z', '1 month ago'],
  ['2025-02-24T12:00:00Z', '11 months ago'],
  ['2024-01-01T00:00:00Z', '2 years ago'],
  ['2026-02-25T19:00:00Z', 'in 2 days'],
  ['2026-02-23T18:55:37.900Z', 'in 1 second'],
])('%s is %s', (then, text) => {
  expect(relativeTime(new Date(then), NOW)).toBe(text);
});

it('times for programs have whole seconds', () => {
  expect(isoSeconds(NOW)).toBe('2026-02-23T18:55:36Z');
  expect(isoSeconds(new Date(0))).toBe('1970-01-01T00:00:00Z');
});
