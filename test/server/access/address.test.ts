import { fc, test as propertyTest } from '@fast-check/vitest';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseChunkRange, parseRange } from '../../../src/server/http/range.ts';
import { Refusal } from '../../../src/server/contract/refusal.ts';
import { parseRepository } from '../../../src/server/http/parse-name.ts';
import { parseRoute } from '../../../src/server/http/router.ts';
import { diskUsage, rawExchange, sha256, startRegistry } from '../running-registry.ts';

const D = sha256('');
const ID = '0123456789abcdef0123456789abcdef';

describe('a request target', () => {
  it.each([
    ['/v2', 'base'],
    ['/v2/', 'base'],
    ['/v2/?n=1', 'base'],
    ['/v2/_catalog?n=1', 'catalog'],
    ['/v2/a/tags/list', 'tags'],
    ['/v2/a/b/c/manifests/latest', 'manifest'],
    ['/v2/a/manifests/list', 'manifest'],
    [`/v2/a/manifests/${D}`, 'manifest'],
    [`/v2/a/blobs/${D}`, 'blob'],
    ['/v2/a/blobs/uploads', 'uploads'],
    ['/v2/a/blobs/uploads/', 'uploads'],
    [`/v2/a/blobs/uploads/${ID}`, 'upload'],
    [`/v2/a/referrers/${D}`, 'referrers'],
  ])('%s is %s', (target, kind) => {
    expect(parseRoute(target).route.kind).toBe(kind);
  });

  it.each([
    ['/v2/tags/tags/list', 'tags'],
    [`/v2/blobs/uploads/blobs/${D}`, 'blobs/uploads'],
    ['/v2/a/blobs/uploads/manifests/x', 'a/blobs/uploads'],
    ['/v2/manifests/manifests/manifests', 'manifests'],
  ])('%s means the repository %s', (target, name) => {
    const { route } = parseRoute(target);
    expect('repository' in route ? route.repository.text : undefined).toBe(name);
  });

  propertyTest.prop([fc.string({ unit: 'binary-ascii', maxLength: 60 }), fc.constantFrom('/', '/v2/', '/v2/a/blobs/')])(
    'is read or refused, whatever it is',
    (text, prefix) => {
      let route: unknown;
      try {
        ({ route } = parseRoute(`${prefix}${text}`));
      } catch (error) {
        expect(error).toBeInstanceOf(Refusal);
        return;
      }
      const name =
        typeof route === 'object' && route !== null && 'repository' in route ? String(route.repository) : 'a';
      expect(path.posix.normalize(`/x/${name}/y`)).toBe(`/x/${name}/y`);
    },
  );
});

describe('over the wire, nothing leaves its place (S42)', () => {
  it.each([
    '/../../etc/passwd',
    '/v2/../v2/_catalog',
    '/v2/a/../b/tags/list',
    '/v2/a/%2e%2e/b/tags/list',
    '/v2/a%2fb/tags/list',
    '/v2/a%252fb/tags/list',
    '/v2/a%00/tags/list',
    '/v2//a/tags/list',
    '/v2/a//b/tags/list',
    '/v2/./a/tags/list',
    '/v2/A/tags/list',
    '/v2/_catalog/',
    '/v2/a/_tags/list',
    '/v2/_uploads/tags/list',
    '/v2/a\\b/tags/list',
    '/v2/a/blobs/uploads/../../../x',
    '/v2/a/blobs/uploads/x',
    '/v2/a/blobs/sha256:../../../../etc/passwd',
    `/v2/a/blobs/sha256:${'A'.repeat(64)}`,
    `/v2/a/blobs/sha256:${'a'.repeat(63)}`,
    `/v2/a/blobs/sha256:${'a'.repeat(65)}`,
    `/v2/a/blobs/md5:${'a'.repeat(32)}`,
    '/v2/a/manifests/..',
    '/v2/a/manifests/.hidden',
    `/v2/a/manifests/${'t'.repeat(129)}`,
    `/v2/${'a/'.repeat(600)}tags/list`,
    `/v2/${'a'.repeat(256)}/tags/list`,
    'http://127.0.0.1/v2/',
    '*',
  ])('%s', async (target) => {
    const { port, directory } = await startRegistry();
    const before = diskUsage(directory);
    const answers = ['GET', 'PUT', 'DELETE', 'POST'].map(async (method) =>
      rawExchange(
        port,
        `${method} ${target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
      ),
    );
    for (const answer of await Promise.all(answers)) expect(answer).toMatch(/^HTTP\/1\.1 40[045] /);
    expect(diskUsage(directory)).toBe(before);
    expect(readdirSync(path.join(directory, 'repositories'))).toEqual([]);
  });

  it.each([
    [
      'a header called __proto__',
      'GET /v2/ HTTP/1.1\r\nHost: localhost\r\n__proto__: x\r\nConnection: close\r\n\r\n',
      /^HTTP\/1\.1 200/,
    ],
    [
      'an unknown transfer coding',
      'PUT /v2/a/manifests/b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\nConnection: close\r\n\r\n',
      /^HTTP\/1\.1 4|^$/,
    ],
    [
      'two lengths',
      'PUT /v2/a/manifests/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx',
      /^HTTP\/1\.1 400/,
    ],
    [
      'length and chunks',
      'PUT /v2/a/manifests/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      /^HTTP\/1\.1 400/,
    ],
    ['no host', 'GET /v2/ HTTP/1.1\r\nConnection: close\r\n\r\n', /^HTTP\/1\.1 400/],
    ['no HTTP at all', '\x16\x03\x01hello\r\n\r\n', /^HTTP\/1\.1 400/],
    ['a tunnel', 'CONNECT example.com:443 HTTP/1.1\r\nHost: localhost\r\n\r\n', /^$/],
    [
      'an upgrade',
      'GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n',
      /^HTTP\/1\.1 200/,
    ],
  ])('%s does no harm', async (_, text, expected) => {
    const { port, send } = await startRegistry();
    expect(await rawExchange(port, text)).toMatch(expected);
    expect((await send('GET', '/v2/')).status).toBe(200);
  });
});

it.each([
  ['POST', '/v2/', 'GET, HEAD'],
  ['DELETE', '/v2/_catalog', 'GET, HEAD'],
  ['PUT', '/v2/a/tags/list', 'GET, HEAD'],
  ['POST', '/v2/a/manifests/latest', 'GET, HEAD, PUT, DELETE'],
  ['PATCH', `/v2/a/blobs/${D}`, 'GET, HEAD, DELETE'],
  ['GET', '/v2/a/blobs/uploads/', 'POST'],
  ['POST', `/v2/a/blobs/uploads/${ID}`, 'GET, HEAD, PATCH, PUT, DELETE'],
  ['OPTIONS', `/v2/a/referrers/${D}`, 'GET, HEAD'],
])('%s %s is 405 and says what is allowed', async (method, target, allow) => {
  const { send } = await startRegistry();
  const { status, codes, headers } = await send(method, target);
  expect([status, codes, headers.allow]).toEqual([405, ['UNSUPPORTED'], allow]);
});

it.each(['a', 'a/b', 'a__b', 'a-----b/c.d/e_f', '0'])('%s is the name of a repository', (text) => {
  expect(parseRepository(text).text).toBe(text);
});

it.each(['', '/', 'a/', '/a', 'A', 'a..b', 'a___b', '-a', 'a-', '_a', 'a b', 'ä', 'a\n'])(
  '%j is no name of a repository',
  (text) => {
    expect(() => parseRepository(text)).toThrow(Refusal);
  },
);

propertyTest.prop([fc.nat(1000), fc.nat(1200), fc.nat(1200)])('a range never leaves the blob', (size, first, last) => {
  const range = parseRange(`bytes=${first}-${last}`, size);
  if (first > last || first >= size) expect(range.kind).toBe('unsatisfiable');
  else expect(range).toEqual({ kind: 'part', start: first, end: Math.min(last + 1, size) });
});

it.each([
  ['0-0', { start: 0, last: 0 }],
  ['bytes 5-9/10', { start: 5, last: 9 }],
  ['bytes=5-9', { start: 5, last: 9 }],
  ['5-', 'malformed'],
  ['-5', 'malformed'],
  ['9-5', 'malformed'],
  ['1-99999999999999999999', 'malformed'],
] as const)('Content-Range: %s', (header, range) => {
  expect(parseChunkRange(header)).toEqual(range);
});
