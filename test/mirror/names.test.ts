import { describe, expect, it } from 'vitest';
import { RegistryAddress } from '../../src/names/registry-address.ts';
import { Repository } from '../../src/names/repository.ts';
import { parsePlace, parseUpstreamText, readCacheName, upstreamText } from '../../src/mirror/upstream-name.ts';
import { Upstreams } from '../../src/mirror/upstreams.ts';

const NO_QUERY = new URLSearchParams();

describe('how an upstream is written', () => {
  it.each([
    ['ghcr.io', 'ghcr.io'],
    ['registry.example:8221', 'registry.example_8221'],
    ['127.0.0.1:5000', '127.0.0.1_5000'],
    ['ip6:5000', 'ip6_5000'],
    ['[::1]:5000', 'ip6__0-0-0-0-0-0-0-1_5000'],
    ['[2001:db8::]', 'ip6__2001-db8-0-0-0-0-0-0'],
    ['[fd00::1:0:0:2]:443', 'ip6__fd00-0-0-0-1-0-0-2_443'],
  ])('%s is %s, both ways', (address, text) => {
    expect(upstreamText(RegistryAddress.parse(address))).toBe(text);
    expect(parseUpstreamText(text)?.toString()).toBe(address);
    expect(Repository.tryParseBySpec(`${text}/org/image`)).toBeDefined();
  });

  it.each(['GHCR.io', 'ghcr.io_', 'ghcr.io_0443', 'ghcr.io_99999', 'ghcr.io__443', 'ip6__1-2', '_8221', 'a..b', ''])(
    '%j is none',
    (text) => {
      expect(parseUpstreamText(text)).toBeUndefined();
    },
  );

  it('takes a port with its colon in an address, also escaped', () => {
    const names = ['registry.example:8221/org/image', 'registry.example%3A8221/org/image'];
    expect(names.map((name) => readCacheName(name).text)).toEqual([
      'registry.example_8221/org/image',
      'registry.example_8221/org/image',
    ]);
    expect(() => readCacheName('org/image:8221/x')).toThrow('a repository name has lower-case letters');
    expect(parsePlace(readCacheName('ghcr.io'))).toBeUndefined();
  });
});

describe('which upstreams a cache fetches from', () => {
  const find = (upstreams: Upstreams, name: string, query = ''): string => {
    const { upstream, repository } = upstreams.find(readCacheName(name), new URLSearchParams(query));
    return `${upstream.address.toString()} ${repository.text} ${upstream.onlyPublic ? 'public' : 'anywhere'}`;
  };

  it('those that were named, by path and by ns', () => {
    const upstreams = new Upstreams({ allowed: ['ghcr.io', 'http://registry.example:8221'] });
    expect(find(upstreams, 'ghcr.io/org/image')).toBe('ghcr.io org/image anywhere');
    expect(find(upstreams, 'org/image', 'ns=registry.example:8221')).toBe('registry.example:8221 org/image anywhere');
    expect(find(upstreams, 'ghcr.io/org/image', 'ns=ghcr.io')).toBe('ghcr.io ghcr.io/org/image anywhere');
    expect(upstreams.find(readCacheName('registry.example:8221/x'), NO_QUERY).upstream.insecure).toBe(true);
  });

  it.each([
    ['another host', 'quay.io/org/image', '', 'this cache does not fetch from quay.io'],
    ['the same host without its port', 'registry.example/org/image', '', 'does not fetch from registry.example'],
    ['another port', 'ghcr.io:8080/org/image', '', 'this cache does not fetch from ghcr.io:8080'],
    ['ns of another host', 'ghcr.io/image', 'ns=10.0.0.1', 'this cache does not fetch from 10.0.0.1'],
    ['two of them', 'org/image', 'ns=ghcr.io&ns=quay.io', 'ns is there more than once'],
    ['a URL for ns', 'org/image', 'ns=https://ghcr.io/', 'ns is not the address of a registry'],
    ['a user for ns', 'org/image', 'ns=a@ghcr.io', 'ns is not the address of a registry'],
    ['no upstream', 'image', '', 'the name begins with no registry'],
  ])('not %s', (_, name, query, why) => {
    const upstreams = new Upstreams({ allowed: ['ghcr.io', 'registry.example:8221'] });
    expect(() => find(upstreams, name, query)).toThrow(why);
  });

  it.each([
    'localhost/org/image',
    'localhost:5000/org/image',
    'registry.localhost/org/image',
    '127.0.0.1/org/image',
    '127.1/org/image',
    '0x7f.0.0.1/org/image',
    '2130706433/org/image',
    '10.1.2.3:5000/org/image',
    '192.168.0.1/org/image',
    '169.254.169.254/latest/meta-data',
    '100.64.0.1/org/image',
    'ip6__0-0-0-0-0-0-0-1/org/image',
    'ip6__fd00-0-0-0-0-0-0-1_5000/org/image',
    'ip6__0-0-0-0-0-ffff-7f00-1/org/image',
    'ip6__64-ff9b-0-0-0-0-a00-1/org/image',
    'registry/org/image',
  ])('with *, not %s (S48)', (name) => {
    const upstreams = new Upstreams({ allowed: ['*'] });
    expect(() => find(upstreams, name)).toThrow('this cache does not fetch from');
    expect(find(upstreams, 'ghcr.io/org/image')).toBe('ghcr.io org/image public');
  });

  it('with * and a name, what is named may be anywhere', () => {
    const upstreams = new Upstreams({ allowed: ['*', 'localhost:5000'] });
    expect(find(upstreams, 'localhost:5000/org/image')).toBe('localhost:5000 org/image anywhere');
  });

  it('the one that it is the mirror of, and no other by ns', () => {
    const upstreams = new Upstreams({ mirrorOf: 'docker.io' });
    expect(find(upstreams, 'library/debian')).toBe('docker.io library/debian anywhere');
    expect(find(upstreams, 'library/debian', 'ns=docker.io')).toBe('docker.io library/debian anywhere');
    expect(() => find(upstreams, 'org/image', 'ns=ghcr.io')).toThrow('this cache does not fetch from ghcr.io');
  });

  it('is refused for none, and for what is no registry', () => {
    expect(() => new Upstreams({ allowed: [] })).toThrow('a site cache needs the name of a registry');
    expect(() => new Upstreams({ allowed: ['ghcr.io/org'] })).toThrow('"ghcr.io/org" is not the address of a registry');
    expect(() => new Upstreams({ mirrorOf: '*' })).toThrow('"*" is not the address of a registry');
  });
});
