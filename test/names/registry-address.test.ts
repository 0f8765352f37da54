import { describe, expect, it } from 'vitest';
import { RegistryAddress } from '../../src/names/registry-address.ts';

describe('the canonical form', () => {
  it.each([
    ['ghcr.io', 'ghcr.io', 'ghcr.io', undefined],
    ['EXAMPLE.com:8080', 'example.com:8080', 'example.com', 8080],
    ['registry.fq.d.n:8221', 'registry.fq.d.n:8221', 'registry.fq.d.n', 8221],
    ['10.0.0.1:5000', '10.0.0.1:5000', '10.0.0.1', 5000],
    ['h:1', 'h:1', 'h', 1],
    ['h:65535', 'h:65535', 'h', 65_535],
    ['h:443', 'h:443', 'h', 443],
    ['h:0443', 'h:443', 'h', 443],
    ['[::1]', '[::1]', '[::1]', undefined],
    ['[0:0:0:0:0:0:0:1]:5000', '[::1]:5000', '[::1]', 5000],
    ['[2001:DB8::A]:1', '[2001:db8::a]:1', '[2001:db8::a]', 1],
    ['XN--P1AI', 'xn--p1ai', 'xn--p1ai', undefined],
  ])('%s', (text, canonical, host, port) => {
    const address = RegistryAddress.parse(text);
    expect(address.toString()).toBe(canonical);
    expect(address.host).toBe(host);
    expect(address.port).toBe(port);
    expect(JSON.stringify([address])).toBe(JSON.stringify([canonical]));
  });

  it.each([
    '',
    ':5000',
    'h:',
    'h:0',
    'h:65536',
    `h:${'9'.repeat(400)}`,
    'h:+1',
    'h:1e3',
    'h:0x50',
    'h: 80',
    'h_h',
    '-h',
    'h-',
    'h.',
    '.h',
    'a..b',
    'a/b',
    'user@h',
    '::1',
    '[]',
    '[::1',
    '[::1]x',
    '[::1]:',
    '[1::2::3]',
    'bücher.example',
    'xn--',
    'xn---',
    'xn--a-',
    'xn--a.b',
    '127.0.0.999',
    '1.27.0.0.1',
    'h\u0000',
  ])('refuses "%s"', (text) => {
    expect(() => RegistryAddress.parse(text)).toThrow(expect.objectContaining({ code: 'NAME_MALFORMED' }));
    expect(RegistryAddress.tryParse(text)).toBeUndefined();
  });

  it('shows the right spelling of an address that was copied out of a browser', () => {
    expect(() => RegistryAddress.parse('https://registry.example:8221/v2/')).toThrow(
      expect.objectContaining({
        facts: expect.objectContaining({
          next: { kind: 'write-name-as', name: 'registry.example:8221', plainHttp: false },
          position: 1,
        }),
      }),
    );
  });
});

describe('comparing', () => {
  it('by text: a written port is not the same directory as a missing one (tart-formats §2.8)', () => {
    const plain = RegistryAddress.parse('h');
    expect(plain.equals(RegistryAddress.parse('H'))).toBe(true);
    expect(plain.equals(RegistryAddress.parse('h:443'))).toBe(false);
    expect(RegistryAddress.parse('h:5000').equals(RegistryAddress.parse('h:5001'))).toBe(false);
  });

  it('by effective port: what a connection would use', () => {
    expect(RegistryAddress.parse('h').effectivePort()).toBe(443);
    expect(RegistryAddress.parse('h').effectivePort(false)).toBe(80);
    expect(RegistryAddress.parse('h:8221').effectivePort()).toBe(8221);
    expect(RegistryAddress.parse('h:8221').effectivePort(false)).toBe(8221);
  });
});
