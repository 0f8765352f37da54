import type { statfs } from 'node:fs/promises';
import { expect, it, vi } from 'vitest';
import { freeBytes } from '../../src/fs/space.ts';

vi.mock(import('node:fs/promises'), async (original) => {
  const real = await original();
  const full = async (...parameters: Parameters<typeof statfs>) =>
    Object.assign(await real.statfs(...parameters), { bfree: 1_000_000, bavail: 3, bsize: 4096 });
  return { ...real, statfs: full as typeof statfs };
});

it('space that only root may use is not free (D27)', async () => {
  expect(await freeBytes('/')).toBe(3 * 4096);
});
