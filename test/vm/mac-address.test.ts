import { fc, test as property } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { MacAddress } from '../../src/vm/mac-address.ts';

describe('reading', () => {
  it('either case is taken, lower case is kept', () => {
    const address = MacAddress.parse('7E:12:34:56:78:9a');
    expect(address.toString()).toBe('7e:12:34:56:78:9a');
    expect(JSON.stringify({ address })).toBe('{"address":"7e:12:34:56:78:9a"}');
  });

  it.each([
    '',
    '7e:12:34:56:78',
    '7e:12:34:56:78:9a:bc',
    '7e-12-34-56-78-9a',
    '7e:12:34:56:78:9g',
    '7:12:34:56:78:9a',
    ' 7e:12:34:56:78:9a',
    '7e:12:34:56:78:9a\n',
  ])('%j is none', (text) => {
    expect(MacAddress.tryParse(text)).toBeUndefined();
    expect(() => MacAddress.parse(text)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });

  it('addresses that differ in case only are equal', () => {
    expect(MacAddress.parse('AA:BB:CC:DD:EE:FF').equals(MacAddress.parse('aa:bb:cc:dd:ee:ff'))).toBe(true);
    expect(MacAddress.parse('aa:bb:cc:dd:ee:ff').equals(MacAddress.parse('aa:bb:cc:dd:ee:fe'))).toBe(false);
  });
});

describe('a random address', () => {
  it('uses the given bytes and changes only the two bits that make it local and unicast', () => {
    expect(MacAddress.random(() => Uint8Array.of(0xff, 0, 1, 0x0a, 0xfe, 0xff)).toString()).toBe('fe:00:01:0a:fe:ff');
    expect(MacAddress.random(() => Uint8Array.of(0, 0, 0, 0, 0, 0)).toString()).toBe('02:00:00:00:00:00');
  });

  property.prop([fc.uint8Array({ minLength: 6, maxLength: 6 })])(
    'is locally administered, unicast, and reads back',
    (bytes) => {
      const address = MacAddress.random(() => bytes);
      expect(Number.parseInt(address.toString().slice(0, 2), 16) & 0b11).toBe(0b10);
      expect(MacAddress.parse(address.toString()).equals(address)).toBe(true);
    },
  );
});
