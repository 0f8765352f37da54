import { describe, expect, it } from 'vitest';
import type { RegistryOptions } from '../../../src/server/settings/options.ts';
import { parseHtpasswd } from '../../../src/server/settings/htpasswd.ts';
import { createRegistry } from '../../../src/server/server.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { startRegistry } from '../running-registry.ts';

const NOTHING = parseHtpasswd('');

describe('an address that others can reach (S39)', () => {
  const tls = { cert: 'certificate', key: 'key' };
  const auth = { kind: 'basic', htpasswd: NOTHING } as const;

  it.each<[string, Partial<RegistryOptions>, string]>([
    ['0.0.0.0', {}, 'without TLS and authentication'],
    ['::', { auth }, 'without TLS'],
    ['192.0.2.1', { tls }, 'without authentication'],
    ['registry.example', {}, 'without TLS and authentication'],
  ])('%s is refused', (host, options, why) => {
    const make = (): unknown => createRegistry({ dataDirectory: '/never/made', listen: { host }, ...options });
    expect(make).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(why) }));
  });

  it.each<[string, Partial<RegistryOptions>]>([
    ['0.0.0.0', { tls, auth }],
    ['0.0.0.0', { allowExposed: true }],
    ['127.0.0.1', {}],
    ['127.9.9.9', {}],
    ['::1', {}],
    ['[::1]', {}],
    ['localhost', {}],
  ])('%s is taken with %o', (host, options) => {
    const make = (): unknown => createRegistry({ dataDirectory: '/never/made', listen: { host }, ...options });
    expect(make).not.toThrow();
  });

  it('is not listened on by default', async () => {
    const registry = createRegistry({ dataDirectory: temporaryDirectory() });
    try {
      const { address, port, url } = await registry.listen();
      expect(address).toBe('127.0.0.1');
      expect(url).toBe(`http://127.0.0.1:${port}`);
    } finally {
      await registry.close();
    }
  });
});

it('a taken port is an error that names it, and another try may follow', async () => {
  const { port } = await startRegistry();
  const second = createRegistry({ dataDirectory: temporaryDirectory(), listen: { port } });
  const refused = {
    code: 'NET_CONNECT',
    message: `the registry cannot listen on 127.0.0.1:${port}: the port is taken`,
  };
  await expect(second.listen()).rejects.toMatchObject(refused);
  await expect(second.listen()).rejects.toMatchObject(refused);
  await second.close();
});

it('an IPv6 loopback address has a URL with brackets', async () => {
  const registry = createRegistry({ dataDirectory: temporaryDirectory(), listen: { host: '::1' } });
  try {
    const { url, port } = await registry.listen();
    expect(url).toBe(`http://[::1]:${port}`);
    expect((await fetch(`${url}/v2/`)).status).toBe(200);
  } finally {
    await registry.close();
  }
});

describe('who may be asked under which name (S40)', () => {
  it.each([
    ['localhost', 200],
    ['LOCALHOST:1', 200],
    ['a.localhost', 200],
    ['127.0.0.1:8221', 200],
    ['[::1]:5000', 200],
    ['mini.internal', 200],
    ['MINI.internal:8221', 200],
    ['evil.example', 421],
    ['127.0.0.1.evil.example', 421],
    ['localhost.evil.example', 421],
    ['192.0.2.7', 421],
    ['a b', 400],
  ])('Host: %s', async (host, status) => {
    const { send } = await startRegistry({ hostNames: ['Mini.Internal'] });
    expect((await send('GET', '/v2/', { headers: { Host: host } })).status).toBe(status);
  });

  it.each([
    [{ Origin: 'http://127.0.0.1:3000' }, 403],
    [{ Origin: 'null' }, 403],
    [{ 'Sec-Fetch-Site': 'cross-site' }, 403],
    [{ 'Sec-Fetch-Site': 'same-site' }, 403],
    [{ 'Sec-Fetch-Site': 'none' }, 200],
  ])('web page: %o', async (headers, status) => {
    const { send } = await startRegistry();
    const answer = await send('GET', '/v2/', { headers });
    expect(answer.status).toBe(status);
    expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
  });
});
