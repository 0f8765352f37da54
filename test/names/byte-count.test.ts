import { describe, expect, it } from 'vitest';
import { parseByteRate, parseBytes } from '../../src/names/byte-count.ts';

describe('a number of bytes that is typed', () => {
  it.each([
    ['0', 0],
    ['1048576', 1_048_576],
    ['512B', 512],
    ['200K', 204_800],
    ['20M', 20_971_520],
    ['3m', 3_145_728],
    ['1g', 1_073_741_824],
    ['2.5MB', 2_500_000],
    ['2.5 MB', 2_500_000],
    ['20MiB', 20_971_520],
    ['20Mi', 20_971_520],
    ['1.5TB', 1_500_000_000_000],
  ])('%s', (text, bytes) => {
    expect(parseBytes(text)).toBe(bytes);
  });

  it.each(['', 'M', '-1', '1e6', '20Mb', '20Mbit', '1,5M', '0x10', '20 M B', '99999999999999T', '20P', '20M/s'])(
    '%j is none',
    (text) => {
      expect(parseBytes(text)).toBeUndefined();
    },
  );

  it('may be one per second', () => {
    expect(parseByteRate('2.5MB/s')).toBe(2_500_000);
    expect(parseByteRate('20M')).toBe(20_971_520);
    expect(parseByteRate('20M/h')).toBeUndefined();
    // A fraction of a byte is none, and no wish for no limit.
    expect(['0', '0.0', '0.4'].map(parseByteRate)).toEqual([0, 0, undefined]);
  });
});
