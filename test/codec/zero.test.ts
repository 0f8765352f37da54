import { expect, it } from 'vitest';
import { isZero } from '../../src/codec/zero.ts';

it('nothing is zero', () => {
  expect(isZero(new Uint8Array(0))).toBe(true);
  expect(isZero(Uint8Array.of(1, 2), 1, 1)).toBe(true);
});

it.each([1, 2, 3, 7, 64, 4097, 65_535, 65_536, 65_537, 200_000])('%i zeros are zero', (size) => {
  expect(isZero(new Uint8Array(size))).toBe(true);
});

it.each([1, 2, 3, 64, 4097, 65_536, 65_537, 200_000])('one other byte among %i is found wherever it is', (size) => {
  const bytes = new Uint8Array(size);
  const step = size > 5000 ? 997 : 1;
  for (const at of [...Array.from({ length: Math.ceil(size / step) }, (_, index) => index * step), size - 1]) {
    bytes[at] = 1;
    expect(isZero(bytes)).toBe(false);
    bytes[at] = 0;
  }
});

it('only the given range counts', () => {
  const bytes = Uint8Array.of(1, 0, 0, 0, 1);
  expect(isZero(bytes, 1, 4)).toBe(true);
  expect(isZero(bytes, 0, 4)).toBe(false);
  expect(isZero(bytes, 1, 5)).toBe(false);
  expect(isZero(bytes, 1)).toBe(false);
});
