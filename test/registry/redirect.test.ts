import { describe, expect, it } from 'vitest';
import { limits } from '../../src/registry/request/limits.ts';
import { withRedirects } from '../../src/registry/redirect.ts';
import type { RegistryRequest, RegistryResponse, Transport } from '../../src/registry/request/request.ts';
import { basicValue, blobOf, clientFor, collect, password, scripted } from './world.ts';

const BLOB = blobOf(64);
const GET = `GET /v2/a/b/blobs/${BLOB.digest.toString()}`;

describe('redirects of a download', () => {
  it.each([301, 302, 303, 307, 308])('are followed without credentials, %i (N45, S10)', async (status) => {
    const storage = await scripted({
      'GET /x': { status: 206, headers: { 'content-range': 'bytes 8-63/64' }, body: BLOB.bytes.subarray(8) },
    });
    const registry = await scripted({
      [GET]: ({ headers }) =>
        headers['authorization'] === undefined
          ? { status: 401, headers: { 'www-authenticate': 'Basic realm="r"' } }
          : { status, headers: { location: `${storage.origin}/x?sig=1` } },
    });
    const { client } = clientFor(registry, { credentials: password() });
    expect(await collect(client.blob(BLOB, { from: 8 }))).toEqual(BLOB.bytes.subarray(8));
    expect(registry.requests.at(-1)?.headers['authorization']).toBe(basicValue());
    const headers = Object.keys(storage.requests[0]?.headers ?? {}).sort();
    expect(headers).toEqual(['accept-encoding', 'connection', 'host', 'range', 'user-agent']);
    expect(storage.requests[0]?.headers['range']).toBe('bytes=8-63');
  });

  it('keep credentials within their origin (S10)', async () => {
    const registry = await scripted({
      [GET]: ({ headers }) =>
        headers['authorization'] === undefined
          ? { status: 401, headers: { 'www-authenticate': 'Basic realm="r"' } }
          : { status: 307, headers: { location: '/elsewhere' } },
      'GET /elsewhere': { body: BLOB.bytes },
    });
    await collect(clientFor(registry, { credentials: password() }).client.blob(BLOB));
    expect(registry.requests.at(-1)?.headers['authorization']).toBe(basicValue());
  });

  it('hold no connection (N52)', async () => {
    const storage = await scripted({ 'GET /x': { body: BLOB.bytes } });
    const registry = await scripted({
      [GET]: { status: 307, headers: { location: `${storage.origin}/x` }, body: 'z'.repeat(100_000) },
    });
    const { client } = clientFor(registry);
    for (let round = 0; round < 8; round += 1) await collect(client.blob(BLOB));
    expect(registry.connections).toBe(1);
    expect(storage.connections).toBe(1);
  });
});

/** A wire of answers: by URL, the status and Location to give. */
function wire(answers: Readonly<Record<string, readonly [status: number, location?: string]>>) {
  const requests: RegistryRequest[] = [];
  const send: Transport = (asked) => {
    requests.push(asked);
    const [status, location] = answers[asked.url.href] ?? [200];
    const response: RegistryResponse = {
      status,
      headers: { get: (name) => (name === 'location' ? location : undefined), all: () => [] },
      url: asked.url,
      crossOrigin: false,
      body: {
        discard: () => Promise.resolve(),
        destroy: () => {},
        [Symbol.asyncIterator]: () => [][Symbol.iterator]() as never,
      },
    };
    return Promise.resolve(response);
  };
  return { requests, follow: withRedirects(send, limits) };
}

function request(url: string, method: RegistryRequest['method'] = 'GET'): RegistryRequest {
  const headers = { authorization: 'Basic x', 'x-registry-auth': 'y', accept: 'z' };
  const body = { length: 1, open: () => new Uint8Array(1) };
  const base = { method, url: new URL(url), headers, access: { action: 'pull' }, idempotent: true } as const;
  return method === 'GET' ? base : { ...base, body };
}

describe('a Location', () => {
  it.each([
    ['relative', '../y?z=1', 'https://r.example/v2/y?z=1'],
    ['absolute within the host', '/y', 'https://r.example/y'],
    ['without a scheme', '//other.example/y', 'https://other.example/y'],
    ['with a fragment', 'https://other.example/y#z', 'https://other.example/y'],
  ])('may be %s (N47)', async (_title, location, target) => {
    const { follow } = wire({ 'https://r.example/v2/a/x': [307, location] });
    expect((await follow(request('https://r.example/v2/a/x'))).url.href).toBe(target);
  });

  it.each([undefined, '', 'http://[', 'ftp://other.example/', 'file:///etc/passwd', 'https://u:p@other.example/'])(
    'is refused: %j (N47)',
    async (location) => {
      const { follow } = wire({ 'https://r.example/x': location === undefined ? [307] : [307, location] });
      await expect(follow(request('https://r.example/x'))).rejects.toMatchObject({ code: 'REDIRECT_REFUSED' });
    },
  );

  it('never leads from https to http (N48, S36)', async () => {
    const { follow, requests } = wire({
      'https://r.example/x': [307, 'https://cdn.example/y'],
      'https://cdn.example/y': [307, 'http://cdn.example/z?sig=1'],
    });
    await expect(follow(request('https://r.example/x'))).rejects.toMatchObject({
      code: 'REDIRECT_REFUSED',
      message: 'did not follow https://r.example/x: it redirects from https to http://cdn.example/z?…',
    });
    expect(requests).toHaveLength(2);
  });

  it('may lead to http when the registry itself is plain HTTP (N48)', async () => {
    const { follow } = wire({ 'http://r.example/x': [307, 'http://cdn.example/y'] });
    expect((await follow(request('http://r.example/x'))).crossOrigin).toBe(true);
  });

  it('may not lead in a loop (N46)', async () => {
    const { follow } = wire({ 'https://r.example/x': [302, '/y'], 'https://r.example/y': [302, '/x'] });
    await expect(follow(request('https://r.example/x'))).rejects.toMatchObject({ code: 'REDIRECT_REFUSED' });
  });

  it('is followed five times, not six (N46)', async () => {
    const chain = Object.fromEntries(
      [0, 1, 2, 3, 4, 5].map((n) => [`https://r.example/${n}`, [302, `/${n + 1}`] as const]),
    );
    const { follow, requests } = wire(chain);
    await expect(follow(request('https://r.example/0'))).rejects.toMatchObject({
      code: 'REDIRECT_REFUSED',
      message: expect.stringContaining('more than 5 redirects') as string,
    });
    expect(requests).toHaveLength(6);
    expect((await follow(request('https://r.example/1'))).url.href).toBe('https://r.example/6');
  });

  it('loses credentials for good once it left the origin, also on the way back (S10)', async () => {
    const { follow, requests } = wire({
      'https://r.example/x': [307, 'https://cdn.example/y'],
      'https://cdn.example/y': [307, 'https://r.example/z'],
    });
    const response = await follow(request('https://r.example/x'));
    expect(requests.map(({ headers }) => Object.keys(headers))).toEqual([
      ['authorization', 'x-registry-auth', 'accept'],
      ['accept'],
      ['accept'],
    ]);
    expect(response.crossOrigin).toBe(true);
  });
});

describe('redirects of an upload (N49)', () => {
  it.each([307, 308])('%i sends the body again, without credentials elsewhere', async (status) => {
    const { follow, requests } = wire({ 'https://r.example/x': [status, 'https://cdn.example/y'] });
    await follow(request('https://r.example/x', 'PUT'));
    expect(requests[1]).toMatchObject({ method: 'PUT', body: { length: 1 }, headers: { accept: 'z' } });
    expect(requests[1]?.headers['authorization']).toBeUndefined();
  });

  it.each([301, 302, 303])('%i is refused', async (status) => {
    const { follow } = wire({ 'https://r.example/x': [status, 'https://cdn.example/y'] });
    await expect(follow(request('https://r.example/x', 'PATCH'))).rejects.toMatchObject({ code: 'REDIRECT_REFUSED' });
  });
});
