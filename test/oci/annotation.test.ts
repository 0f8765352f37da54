import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAnnotationNumber } from '../../src/oci/annotation.ts';

describe('a number in an annotation', () => {
  it.each<[string, number]>([
    ['0', 0],
    ['4096', 4096],
    ['+4096', 4096],
    ['0004096', 4096],
    ['+007', 7],
    ['9007199254740991', 9007199254740991],
    ['00000000000000009007199254740991', 9007199254740991],
  ])('%j is %d, as Tart reads it', (text, value) => {
    expect(parseAnnotationNumber(text)).toBe(value);
  });

  it.each([
    [undefined],
    [''],
    ['+'],
    ['-1'],
    ['-0'],
    ['++1'],
    ['1e3'],
    ['0x10'],
    ['0b1'],
    [' 12 '],
    ['12\n'],
    ['1.5'],
    ['1.0'],
    ['1_000'],
    ['1,000'],
    ['Infinity'],
    ['NaN'],
    ['٣'],
    ['9007199254740992'],
    ['9007199254740993'],
    ['18446744073709551616'],
    ['1'.repeat(100_000)],
  ])('%j is none', (text) => {
    expect(parseAnnotationNumber(text)).toBeUndefined();
  });

  it('every whole number up to 2^53 - 1 is read back as written', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.constantFrom('', '+', '0', '+00'), (value, prefix) => {
        expect(parseAnnotationNumber(`${prefix}${value}`)).toBe(value);
      }),
    );
  });
});
