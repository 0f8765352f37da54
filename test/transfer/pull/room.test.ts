import { describe, expect, it } from 'vitest';
import { goalOf } from '../../../src/transfer/pull/room.ts';

const MIB = 1024 * 1024;
const RESERVE = 128 * MIB;

/** How much must be free, of which disks, for something that needs 400 MiB at least and 1000 MiB at most. */
describe('the room to make', () => {
  const needed = { atLeast: 400 * MIB, atMost: 1000 * MIB };

  it.each([
    ['all that it may need, when the cache can give it', 500, 700, 1000 * MIB + RESERVE],
    ['all that it may need, to the last byte', 0, 1128, 1000 * MIB + RESERVE],
    ['none, when it may fit and the whole cache would not make it certain', 500, 600, undefined],
    ['the least that can do, when the cache cannot give more', 100, 900, 400 * MIB + RESERVE],
    ['the least that can do without the reserve, when not even that can be had', 100, 310, 410 * MIB],
    ['none, when even the least cannot be had', 100, 299, undefined],
  ] as const)('is %s (tart-cli §7 #22)', (_, free, prunable, expected) => {
    expect(goalOf(needed, { free: free * MIB, prunable: prunable * MIB })).toBe(expected);
  });
});
