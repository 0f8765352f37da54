import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { watchPace } from '../../src/peering/pace.ts';

const MIB = 1024 * 1024;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it('drops a peer after 1.5 s without a byte', async () => {
  const told: string[] = [];
  const pace = watchPace(MIB, undefined, (why) => told.push(why));
  await vi.advanceTimersByTimeAsync(1_500);
  expect(told).toStrictEqual([]);
  await vi.advanceTimersByTimeAsync(100);
  expect(told).toStrictEqual(['stalled']);
  pace.end();
});

it('blames no peer for the time in which the limit of this side is waited for', async () => {
  const told: string[] = [];
  const pace = watchPace(MIB, 20_000, (why) => told.push(why));
  pace.came();
  // 64 KiB at 20,000 bytes per second.
  const limited = pace.notCounting(async () => new Promise((resolve) => setTimeout(resolve, 3_277)));
  await vi.advanceTimersByTimeAsync(3_277);
  await limited;
  pace.reached(64 * 1024);
  await vi.advanceTimersByTimeAsync(1_500);
  expect(told).toStrictEqual([]);
  await vi.advanceTimersByTimeAsync(200);
  expect(told).toStrictEqual(['stalled']);
  pace.end();
});
