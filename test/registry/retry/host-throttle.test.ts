import { describe, expect, it } from 'vitest';
import { limits } from '../../../src/registry/request/limits.ts';
import { HostThrottle } from '../../../src/registry/retry/host-throttle.ts';
import type { Answer } from '../../support/scripted-registry.ts';
import { blobOf, clientFor, collect, FakeClock, scripted } from '../world.ts';

const ORIGIN = 'https://registry.example';

function throttle(onHold?: (origin: string, milliseconds: number) => void) {
  const clock = new FakeClock();
  return { clock, throttle: new HostThrottle({ clock, limits }, onHold) };
}

/** Lets everything happen that can. */
const settle = async () => new Promise((resolve) => setImmediate(resolve));

describe('after a complaint of a host', () => {
  it('everybody waits, then one asks, then two, then four (N28)', async () => {
    const { throttle: pace } = throttle();
    pace.pauseUntil(ORIGIN, 5000);
    const asking: ((isWell: boolean) => void)[] = [];
    const all = Array.from({ length: 12 }, async () => asking.push(await pace.acquire(ORIGIN, false)));
    const rounds: number[] = [];
    while (asking.length > 0 || rounds.length === 0) {
      await settle();
      rounds.push(asking.length);
      for (const answered of asking.splice(0)) answered(true);
      await settle();
    }
    await Promise.all(all);
    expect(rounds).toEqual([1, 2, 4, 5]);
  });

  it('a second complaint begins anew (N28)', async () => {
    const { clock, throttle: pace } = throttle();
    pace.pauseUntil(ORIGIN, 5000);
    const first = await pace.acquire(ORIGIN, false);
    const second = pace.acquire(ORIGIN, false);
    pace.reportOverload(ORIGIN, 7000);
    first(false);
    (await second)(true);
    // Jitter is half of half a second here.
    expect(clock.slept).toEqual([5250, 7250]);
  });

  it('is passed on to those who have another client, once (N26)', () => {
    const told: [string, number][] = [];
    const { throttle: pace } = throttle((origin, milliseconds) => told.push([origin, milliseconds]));
    pace.reportOverload(ORIGIN, 7000);
    pace.pauseUntil(ORIGIN, 9000);
    expect(told).toEqual([[ORIGIN, 7000]]);
  });

  it('is news only when the host was not being spared already', () => {
    const { clock, throttle: pace } = throttle();
    expect(pace.pauseUntil(ORIGIN, 5000)).toBe(true);
    expect(pace.pauseUntil(ORIGIN, 5000)).toBe(false);
    clock.elapsed = 5001;
    expect(pace.pauseUntil(ORIGIN, 5000)).toBe(true);
  });

  it('other hosts are asked as before', async () => {
    const { clock, throttle: pace } = throttle();
    pace.pauseUntil(ORIGIN, 5000);
    await pace.acquire('https://other.example', false);
    expect(clock.slept).toEqual([]);
  });

  it('a request with a body waits for the time, but never for those whose bytes it may be sending', async () => {
    const { clock, throttle: pace } = throttle();
    pace.pauseUntil(ORIGIN, 5000);
    await pace.acquire(ORIGIN, false);
    await pace.acquire(ORIGIN, true);
    expect(clock.slept).toEqual([5250]);
  });

  it('who is interrupted does not wait for a turn', async () => {
    const { throttle: pace } = throttle();
    pace.pauseUntil(ORIGIN, 5000);
    await pace.acquire(ORIGIN, false);
    const abort = new AbortController();
    const waiting = pace.acquire(ORIGIN, false, abort.signal);
    abort.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
  });
});

it('eight readers that are all refused come back one by one, and all finish (N28)', async () => {
  const blobs = Array.from({ length: 8 }, (_, index) => blobOf(500 + index));
  const registry = await scripted();
  let refused = 0;
  let open = 0;
  let most = 0;
  const busiest: number[] = [];
  for (const blob of blobs) {
    registry.on(`GET /v2/a/b/blobs/${blob.digest.toString()}`, async (): Promise<Answer> => {
      if (refused < 8) {
        refused += 1;
        // All eight have asked before the first is refused.
        while (registry.requests.length < 8) await new Promise((resolve) => setImmediate(resolve));
        return { status: 429, headers: { 'retry-after': '7' } };
      }
      open += 1;
      most = Math.max(most, open);
      busiest.push(most);
      for (let round = 0; round < 20; round += 1) await new Promise((resolve) => setImmediate(resolve));
      open -= 1;
      return { body: blob.bytes };
    });
  }
  const { client, clock } = clientFor(registry);
  const bodies = await Promise.all(blobs.map(async (blob) => collect(client.blob(blob))));
  expect(bodies).toEqual(blobs.map(({ bytes }) => bytes));
  expect(registry.requests).toHaveLength(16);
  expect(busiest.slice(0, 3)).toEqual([1, expect.toSatisfy((count: number) => count <= 2), expect.any(Number)]);
  expect(most).toBeLessThanOrEqual(4);
  expect(Math.min(...clock.slept)).toBeGreaterThanOrEqual(7000);
});
