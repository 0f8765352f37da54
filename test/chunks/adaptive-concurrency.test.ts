import { expect, it } from 'vitest';
import { AdaptiveConcurrency } from '../../src/chunks/adaptive-concurrency.ts';

/** Lets everything happen that can. */
const settle = async () => new Promise((resolve) => setImmediate(resolve));

it('halves after a complaint, grows again by one for each that ends, and never beyond the beginning (N28)', async () => {
  const width = new AdaptiveConcurrency(8, 8);
  width.decrease();
  expect(width.now).toBe(4);
  for (let ended = 0; ended < 6; ended += 1) (await width.acquire())();
  expect(width.now).toBe(8);
  for (let complaint = 0; complaint < 6; complaint += 1) width.decrease();
  expect(width.now).toBe(1);
});

it('lets no more in than its limit, and no task wait for ever', async () => {
  const width = new AdaptiveConcurrency(4);
  const leaves: (() => void)[] = [];
  const enter = async () => leaves.push(await width.acquire());
  await Promise.all([enter(), enter()]);
  width.decrease();
  const others = [enter(), enter(), enter()];
  await settle();
  expect(leaves).toHaveLength(2);
  leaves[0]?.();
  await settle();
  // One left, and the width grew by one.
  expect(leaves).toHaveLength(4);
  for (const leave of leaves.slice(1)) leave();
  await Promise.all(others);
  expect(leaves).toHaveLength(5);
});

it('begins with four, and grows while more streams make it faster', async () => {
  const width = new AdaptiveConcurrency(8);
  const leaves: (() => void)[] = [];
  for (let each = 0; each < 8; each += 1) void width.acquire().then((leave) => leaves.push(leave));
  await settle();
  expect(leaves).toHaveLength(4);
  // A second as fast as none before, another one a tenth faster, and one that is not.
  const widths: number[] = [];
  for (const [second, bytes] of [0, 100, 110, 111].entries()) {
    width.moved(bytes, second * 1000);
    widths.push(width.now);
    await settle();
  }
  expect(widths).toEqual([4, 5, 6, 6]);
  expect(leaves).toHaveLength(6);
});

it('never grows beyond its limit, nor where no task waits for a place, nor right after a complaint', async () => {
  const idle = new AdaptiveConcurrency(8);
  const full = new AdaptiveConcurrency(2);
  const refused = new AdaptiveConcurrency(8);
  const leave = await refused.acquire();
  for (let each = 0; each < 8; each += 1) for (const width of [full, refused]) void width.acquire();
  await settle();
  refused.decrease();
  for (const width of [idle, full, refused])
    for (const second of [0, 1, 2]) width.moved(100 * 2 ** second, second * 1000);
  expect([idle.now, full.now, refused.now]).toEqual([4, 2, 2]);
  // Back to what it was before, one by one.
  leave();
  expect(refused.now).toBe(3);
});
