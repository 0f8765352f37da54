import { expect, it, onTestFinished, vi } from 'vitest';
import { systemClock } from '../../../src/registry/request/clock.ts';
import { limits } from '../../../src/registry/request/limits.ts';
import { LineWatch } from '../../../src/registry/transport/line-watch.ts';

/** A line with a network that is there or not, where each probe takes 50 ms. */
class Line {
  isAway = false;
  probes = 0;
  readonly watch: LineWatch;

  constructor() {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const pace = { clock: systemClock, limits: { ...limits, stillMs: 1000 } };
    this.watch = new LineWatch(async (signal) => this.#probe(signal), pace);
    onTestFinished(() => this.watch.close());
  }

  async #probe(signal: AbortSignal): Promise<void> {
    this.probes += 1;
    const isAway = this.isAway;
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      setTimeout(isAway ? () => reject(new Error('lost')) : resolve, isAway ? 3000 : 50);
    });
  }
}

async function pass(milliseconds: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(milliseconds);
}

it('gives up what stood still while the network was away, within a second of its return', async () => {
  const line = new Line();
  const lost = vi.fn();
  line.watch.watch('a blob', lost);
  line.isAway = true;
  await pass(10_000);
  expect(lost).not.toHaveBeenCalled();
  line.isAway = false;
  await pass(1000);
  expect(lost).toHaveBeenCalledOnce();
});

it('waits longer and longer for an answer that takes its time while others are answered', async () => {
  const line = new Line();
  const stoodStill = async (): Promise<number> => {
    const lost = vi.fn();
    line.watch.watch('a blob', lost);
    let seconds = 0;
    for (; lost.mock.calls.length === 0; seconds += 1) await pass(1000);
    return seconds;
  };
  const times = [await stoodStill(), await stoodStill(), await stoodStill(), await stoodStill()];
  expect(times.map((seconds) => Math.round(seconds / 15))).toStrictEqual([1, 2, 4, 4]);
  expect(line.probes).toBeGreaterThan(100);
});

it('asks nothing while all moves, and while nothing is waited for', async () => {
  const line = new Line();
  const lost = vi.fn();
  const answer = line.watch.watch('a blob', lost);
  for (let piece = 0; piece < 20; piece += 1) {
    answer.waits();
    await pass(900);
    answer.came(1000);
  }
  await pass(60_000);
  expect(line.probes).toBe(0);
  answer.waits();
  await pass(2000);
  expect(line.probes).toBeGreaterThan(0);
  answer.ends();
  await pass(100);
  expect(vi.getTimerCount()).toBe(0);
});

it('gives up a body that stands still alone after 5 s, then 10 s, and 5 s again when something came of it', async () => {
  const line = new Line();
  const stoodStill = async (): Promise<number> => {
    const lost = vi.fn();
    const answer = line.watch.watch('a blob', lost);
    answer.came(0);
    answer.waits();
    let seconds = 0;
    for (; lost.mock.calls.length === 0; seconds += 1) await pass(1000);
    return seconds;
  };
  expect(await stoodStill()).toBeLessThanOrEqual(6);
  const second = await stoodStill();
  expect(second).toBeGreaterThanOrEqual(10);
  expect(second).toBeLessThanOrEqual(11);
  line.watch.watch('a blob', vi.fn()).came(1);
  expect(await stoodStill()).toBeLessThanOrEqual(6);
});
