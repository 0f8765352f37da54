import { fc, test as property } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { decodePath, decodeRegistry, encodeRegistry, referencePath } from '../../src/home/layout.ts';
import { RegistryAddress } from '../../src/names/registry-address.ts';
import { RemoteName } from '../../src/names/remote-name.ts';

const DIGEST = `sha256:${'ab'.repeat(32)}`;

describe('where a name lies', () => {
  it.each([
    // The vectors of tart-formats §10.4.
    ['ghcr.io/org/img', 'ghcr.io/org/img/latest'],
    ['example.com:8080/a/b:1.0', 'example.com%3A8080/a/b/1.0'],
    [`10.0.0.1:5000/x@${DIGEST}`, `10.0.0.1%3A5000/x/${DIGEST}`],
    // The registry of openai/tart#827.
    ['registry.fq.d.n:8221/macos/base:15', 'registry.fq.d.n%3A8221/macos/base/15'],
    ['[::1]:5000/a', '[%3A%3A1]%3A5000/a/latest'],
    ['EXAMPLE.com:8080/A/b__c:_x', 'example.com%3A8080/A/b__c/_x'],
    ['h:0443/a', 'h%3A443/a/latest'],
    ['h/a', 'h/a/latest'],
    [`h/a:t@${DIGEST}`, 'h/a/t'],
  ])('%s is %s', (name, path) => {
    expect(referencePath(RemoteName.parse(name))).toBe(path);
  });
});

describe('what a path stands for', () => {
  it.each([
    ['registry.fq.d.n%3A8221/macos/base/15', 'registry.fq.d.n:8221/macos/base:15'],
    [`ghcr.io/org/img/${DIGEST}`, `ghcr.io/org/img@${DIGEST}`],
    ['[%3A%3A1]%3A5000/a/latest', '[::1]:5000/a:latest'],
  ])('%s is %s', (path, name) => {
    expect(decodePath(path.split('/'))?.toString()).toBe(name);
  });

  it.each([
    ['a raw colon, as before Tart 2.11', 'registry.fq.d.n:8221/macos/base/15'],
    ['a lower-case escape', 'registry.fq.d.n%3a8221/macos/base/15'],
    ['an upper-case host', 'GHCR.io/org/img/latest'],
    ['a bad escape', 'h%ZZ/a/latest'],
    ['an escaped repository', 'h/a%3Ab/latest'],
    ['a host that no name can have', 'my_host/a/latest'],
    ['a port with a leading zero', 'h%3A0443/a/latest'],
    ['a port out of range', 'h%3A70000/a/latest'],
    ['no repository', 'h/latest'],
    ['a short digest', 'h/a/sha256:abc'],
    ['a hidden part', 'h/.a/latest'],
    ['an image inside an image', `h/a/${DIGEST}/x`],
  ])('%s is foreign', (_, path) => {
    expect(decodePath(path.split('/'))).toBeUndefined();
  });
});

const word = fc.stringMatching(/^[A-Za-z0-9]{1,8}$/);
const separator = fc.constantFrom('.', '_', '__', '-', '--', '---');
const component = fc
  .tuple(word, fc.array(fc.tuple(separator, word), { maxLength: 3 }), fc.constantFrom('', '.', '_', '-'))
  .map(([first, more, end]) => `${first}${more.map(([s, w]) => s + w).join('')}${end}`);
const longComponent = fc.constant('x'.repeat(255));
const label = fc.stringMatching(/^[A-Za-z0-9]{1,8}(-[A-Za-z0-9]{1,5})?$/);
/** With a number at its end, a host is an address or nothing. */
const lastLabel = fc.stringMatching(/^[A-Za-z][A-Za-z0-9]{0,7}(-[A-Za-z0-9]{1,5})?$/);
const domain = fc
  .tuple(fc.array(label, { maxLength: 3 }), lastLabel)
  .map(([labels, last]) => [...labels, last].join('.'));
const host = fc.oneof(
  domain,
  fc.ipV4(),
  fc.ipV6().map((address) => `[${address}]`),
);
const port = fc.option(fc.integer({ min: 1, max: 65_535 }), { nil: undefined });
const tag = fc.oneof(fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,30}$/), fc.constant('t'.repeat(255)));
const reference = fc.oneof(
  tag.map((text) => `:${text}`),
  fc.stringMatching(/^[0-9a-f]{64}$/).map((hex) => `@sha256:${hex}`),
);
const name = fc
  .tuple(
    host,
    port,
    fc.array(fc.oneof({ weight: 9, arbitrary: component }, longComponent), { minLength: 1, maxLength: 4 }),
    reference,
  )
  .map(([h, p, parts, ref]) => `${h}${p === undefined ? '' : `:${p}`}/${parts.join('/')}${ref}`);

describe('names and paths are one bijection', () => {
  property.prop([name], { numRuns: 1000 })('a name comes back from its path', (text) => {
    const parsed = RemoteName.parse(text);
    const path = referencePath(parsed);
    expect(decodePath(path.split('/'))?.toString()).toBe(parsed.toString());
    for (const part of path.split('/')) expect(Buffer.byteLength(part)).toBeLessThanOrEqual(255);
  });

  property.prop([name, name], { numRuns: 500 })('different names have different paths', (a, b) => {
    const [x, y] = [RemoteName.parse(a), RemoteName.parse(b)];
    expect(referencePath(x) === referencePath(y)).toBe(x.toString() === y.toString());
  });

  property.prop([host, port], { numRuns: 500 })('a registry comes back from its directory, port and all', (h, p) => {
    const registry = RegistryAddress.parse(p === undefined ? h : `${h}:${p}`);
    expect(decodeRegistry(encodeRegistry(registry))?.toString()).toBe(registry.toString());
    expect(decodeRegistry(encodeRegistry(registry))?.port).toBe(p);
  });

  const anything = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.constantFrom('%', '%3A', '%3a', '%ZZ', '..', '.', 'sha256:', DIGEST, 'h%3A1', 'latest', ''),
  );
  property.prop([fc.array(anything, { maxLength: 8 })], { numRuns: 2000 })(
    'any parts at all are a name that leads back to them, or foreign',
    (parts) => {
      const decoded = decodePath(parts);
      if (decoded !== undefined) expect(referencePath(decoded)).toBe(parts.join('/'));
    },
  );
});
