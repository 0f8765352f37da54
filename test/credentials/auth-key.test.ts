import { describe, expect, it } from 'vitest';
import { parseAuthKey, rankKeys, sameRegistry, serverSpellings, storageKey } from '../../src/credentials/auth-key.ts';
import { address } from './world.ts';

/** Whether a credential under `key` is used for `registry` (and `repository`). */
function serves(key: string, registry: string, repository?: string): boolean {
  const parsed = parseAuthKey(key);
  return parsed !== undefined && rankKeys([parsed], address(registry), repository).length === 1;
}

describe('a key serves the registry it names', () => {
  it.each([
    ['registry.example:8221', 'registry.example:8221'],
    ['https://registry.example:8221', 'registry.example:8221'],
    ['https://registry.example:8221/', 'registry.example:8221'],
    ['https://registry.example:8221/v1/', 'registry.example:8221'],
    ['https://registry.example:8221/v2', 'registry.example:8221'],
    ['registry.example:8221/v2/', 'registry.example:8221'],
    ['HTTPS://Registry.Example:8221/v1/', 'registry.example:8221'],
    ['Registry.EXAMPLE:8221', 'registry.example:8221'],
    ['registry.example:08221', 'registry.example:8221'],
    ['registry.example', 'registry.example'],
    ['registry.example', 'registry.example:443'],
    ['registry.example:443', 'registry.example'],
    ['https://registry.example/v1/', 'registry.example:443'],
    ['http://registry.example:5000', 'registry.example:5000'],
    ['http://registry.example', 'registry.example:80'],
    ['[::1]:5000', '[::1]:5000'],
    ['[0:0::0:1]:5000', '[::1]:5000'],
    ['https://[::1]:5000/v1/', '[::1]:5000'],
    ['[2001:DB8::1]', '[2001:db8::1]:443'],
    ['127.0.0.1:8221', '127.0.0.1:8221'],
    ['https://index.docker.io/v1/', 'docker.io'],
    ['https://index.docker.io/v1/', 'registry-1.docker.io'],
    ['https://index.docker.io/v1/', 'index.docker.io:443'],
    ['index.docker.io/v1/', 'docker.io'],
    ['docker.io', 'registry-1.docker.io'],
  ])('%s for %s', (key, registry) => {
    expect(serves(key, registry)).toBe(true);
    expect(serves(key, registry, 'any/repository')).toBe(true);
  });
});

describe('a key serves no other registry', () => {
  it.each([
    ['registry.example:8221', 'registry.example'],
    ['registry.example', 'registry.example:8221'],
    ['registry.example:8221', 'registry.example:8222'],
    ['https://registry.example/v1/', 'registry.example:8221'],
    ['http://registry.example', 'registry.example'],
    ['registry.example', 'evil-registry.example'],
    ['registry.example', 'registry.example.evil.example'],
    ['example', 'registry.example'],
    ['.*', 'registry.example'],
    ['registry.*', 'registry.example'],
    ['[::1]:5000', '[::2]:5000'],
    ['::1', '[::1]'],
    ['https://index.docker.io/v1/', 'docker.io:5000'],
    ['https://index.docker.io/v1/', 'hub.docker.io'],
    ['https://user@registry.example/', 'registry.example'],
    ['https://registry.example?x=/v1/', 'registry.example'],
    ['registry.example\n', 'registry.example'],
    ['ftp://registry.example', 'registry.example'],
    ['', 'registry.example'],
  ])('%j not for %s', (key, registry) => {
    expect(serves(key, registry)).toBe(false);
  });
});

describe('a key with a path serves only what lies below it', () => {
  it.each([
    ['h:1/org', 'org', true],
    ['h:1/org', 'org/image', true],
    ['h:1/org/', 'org/image', true],
    ['https://h:1/org', 'org/image', true],
    ['h:1/org/image', 'org/image', true],
    ['h:1/v1', 'v1/image', true],
    ['docker.io/org', 'org/image', true],
    ['h:1/org', 'organisation/image', false],
    ['h:1/org/image', 'org', false],
    ['h:1/org', 'other/org', false],
    ['h:1/Org', 'org/image', false],
    ['h:1//org', 'org', false],
  ])('%s for %s: %s', (key, repository, expected) => {
    const registry = key.startsWith('docker.io') ? 'registry-1.docker.io' : 'h:1';
    expect(serves(key, registry, repository)).toBe(expected);
  });

  it('and nothing when no repository is asked for', () => {
    expect(serves('h:1/org', 'h:1')).toBe(false);
  });
});

describe('of several keys the best comes first', () => {
  const order = (keys: string[], registry: string, repository?: string): string[] =>
    rankKeys(
      keys.map((key) => parseAuthKey(key)!),
      address(registry),
      repository,
    ).map((key) => key.text);

  it('the longest path', () => {
    expect(order(['h:1', 'h:1/org/image', 'h:2/org/image', 'h:1/org', 'h:1/other'], 'h:1', 'org/image')).toEqual([
      'h:1/org/image',
      'h:1/org',
      'h:1',
    ]);
  });

  it('the plain spelling before a URL', () => {
    expect(order(['https://h:1/v1/', 'h:1'], 'h:1')).toEqual(['h:1', 'https://h:1/v1/']);
  });

  it("the host that was asked for before Docker Hub's other names", () => {
    expect(order(['index.docker.io', 'https://index.docker.io/v1/', 'docker.io'], 'docker.io')).toEqual([
      'docker.io',
      'https://index.docker.io/v1/',
      'index.docker.io',
    ]);
  });
});

it.each([
  ['registry.example:8221', 'registry.example:8221', ['registry.example:8221']],
  ['registry.example', 'registry.example', ['registry.example', 'registry.example:443']],
  ['registry.example:443', 'registry.example:443', ['registry.example:443', 'registry.example']],
  ['[::1]:5000', '[::1]:5000', ['[::1]:5000']],
  ['docker.io', 'https://index.docker.io/v1/', ['https://index.docker.io/v1/', 'docker.io']],
])('%s is stored as %s and asked for as %j', (registry, key, spellings) => {
  expect(storageKey(address(registry))).toBe(key);
  expect(serverSpellings(address(registry))).toEqual(spellings);
  // What we store, we find.
  for (const each of spellings) expect(sameRegistry(parseAuthKey(each)!.registry, address(registry))).toBe(true);
});
