import { expect, it } from 'vitest';
import { Width } from '../../src/transfer/width.ts';

/** Lets everything happen that can. */
const settle = async () => new Promise((resolve) => setImmediate(resolve));

it('halves after a complaint, grows again by one for each that ends, and never beyond the beginning (N28)', async () => {
  const width = new Width(8);
  width.halve();
  expect(width.now).toBe(4);
  for (let ended = 0; ended < 6; ended += 1) (await width.enter())();
  expect(width.now).toBe(8);
  for (let complaint = 0; complaint < 6; complaint += 1) width.halve();
  expect(width.now).toBe(1);
});

it('lets no more in than it is wide, and nobody wait for ever', async () => {
  const width = new Width(4);
  const leaves: (() => void)[] = [];
  const enter = async () => leaves.push(await width.enter());
  await Promise.all([enter(), enter()]);
  width.halve();
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
