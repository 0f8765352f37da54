import { createServer, type IncomingMessage, request as ask, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { setImmediate as nextRound } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { limits } from '../../../../src/registry/request/limits.ts';
import { httpTransport } from '../../../../src/registry/transport/transport.ts';
import { after, blobOf, clientFor, collect, scripted } from '../../world.ts';

const access = { action: 'pull' } as const;

/** What a proxy says by itself, in place of asking anybody. */
interface OwnAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * A proxy as squid is installed: CONNECT to port 443 only; a request for a whole address is handed on, to a port of
 * this machine whatever the name is.
 */
async function squid(options: { readonly own?: OwnAnswer; readonly login?: string } = {}) {
  const requests: IncomingMessage[] = [];
  let connections = 0;
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    requests.push(request);
    const isLoggedIn = options.login === undefined || request.headers['proxy-authorization'] === options.login;
    const own = isLoggedIn ? options.own : { status: 407, headers: { 'proxy-authenticate': 'Basic realm="proxy"' } };
    if (own !== undefined || request.url?.startsWith('http://') !== true) {
      request.resume();
      response.writeHead(own?.status ?? 400, { 'content-length': 0, ...own?.headers }).end();
      return;
    }
    const { port, pathname, search } = new URL(request.url ?? '');
    const { 'proxy-authorization': _login, connection: _connection, ...headers } = request.headers;
    const path = pathname + search;
    const upstream = ask({ host: '127.0.0.1', port, method: request.method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    upstream.on('error', () => response.destroy());
    request.pipe(upstream);
  });
  server.on('connection', () => {
    connections += 1;
  });
  server.on('connect', (request: IncomingMessage, socket: Socket) => {
    requests.push(request);
    socket.end(`HTTP/1.1 ${request.url?.endsWith(':443') === true ? '502 Bad Gateway' : '403 Forbidden'}\r\n\r\n`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    requests,
    asked: () => requests.map(({ method, url }) => `${method} ${url}`),
    count: () => connections,
  };
}

function transport(environment: Record<string, string>) {
  const http = httpTransport({ userAgent: 'Tartlet/0', environment, limits });
  after(() => http.close());
  return http;
}

/** `passing`: read straight from the socket; without: through the library. */
describe.each([
  ['straight from the socket', { transientChunks: 'manifest' }],
  ['through the library', {}],
] as const)('plain HTTP through a proxy that lets CONNECT through to 443 only, %s (N10)', (_way, how) => {
  const get = async (url: string, http: ReturnType<typeof transport>) => {
    const request = { method: 'GET', url: new URL(url), headers: {}, access, idempotent: true, ...how } as const;
    return http.send(request);
  };

  it('is asked for by its whole address, over one connection that is kept', async () => {
    const registry = await scripted({ 'GET /v2/': { body: '{}' } });
    const proxy = await squid();
    const http = transport({ http_proxy: `127.0.0.1:${proxy.port}` });
    const url = `http://registry.example:${registry.port}/v2/?n=1`;
    for (let time = 0; time < 3; time += 1) {
      const response = await get(url, http);
      expect(response.status).toBe(200);
      expect((await collect(response.body)).toString()).toBe('{}');
      // undici notices a round later that the connection is free.
      await nextRound();
    }
    expect(proxy.asked()).toEqual([`GET ${url}`, `GET ${url}`, `GET ${url}`]);
    expect(proxy.count()).toBe(1);
    expect(registry.requests[0]?.path).toBe('/v2/?n=1');
    expect(registry.requests[0]?.headers['host']).toBe(`registry.example:${registry.port}`);
  });

  it('tells user and password to the proxy only', async () => {
    const registry = await scripted({ 'GET /v2/': { body: '{}' } });
    const proxy = await squid({ login: `Basic ${Buffer.from('user:p@ss').toString('base64')}` });
    const environment = { http_proxy: `http://user:p%40ss@127.0.0.1:${proxy.port}` };
    const http = transport({ ...environment, no_proxy: 'spared.example, 127.0.0.1' });
    const through = await get(`http://registry.example:${registry.port}/v2/`, http);
    await through.body.discard();
    const directly = await get(`http://127.0.0.1:${registry.port}/v2/`, http);
    await directly.body.discard();
    expect([through.status, directly.status]).toEqual([200, 200]);
    expect(proxy.requests).toHaveLength(1);
    expect(registry.requests).toHaveLength(2);
    for (const { headers } of registry.requests) expect(headers).not.toHaveProperty('proxy-authorization');
  });

  it.each([
    [{ status: 407, headers: { 'proxy-authenticate': 'Basic' } }, /answered 407/, 'give-proxy-password'],
    [
      { status: 403, headers: { 'x-squid-error': 'ERR_ACCESS_DENIED 0' } },
      /403 \(ERR_ACCESS_DENIED 0\)/,
      'check-proxy',
    ],
    [
      { status: 503, headers: { 'x-squid-error': 'ERR_CONNECT_FAIL 111' } },
      /503 \(ERR_CONNECT_FAIL 111\)/,
      'check-proxy',
    ],
    [{ status: 502, headers: { 'proxy-status': 'p; error=dns_error' } }, /502 \(dns_error\)/, 'check-proxy'],
  ])('names the proxy for what the proxy says: %j (N11)', async (own, message, next) => {
    const proxy = await squid({ own });
    const http = transport({ HTTP_PROXY: `http://user:s3cret@127.0.0.1:${proxy.port}` });
    const failure = await get('http://registry.example:5000/v2/', http).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: 'NET_PROXY',
      message: expect.stringMatching(message) as string,
      facts: {
        subject: `http://127.0.0.1:${proxy.port}`,
        status: own.status,
        next: { kind: next, variable: expect.stringMatching(/^HTTPS?_PROXY$/) as string },
      },
    });
    expect(JSON.stringify(failure)).not.toContain('s3cret');
  });

  it('leaves a refusal of the registry the registry its own', async () => {
    const registry = await scripted({ 'GET /v2/': { status: 503, headers: { 'proxy-status': 'cache; hit' } } });
    const proxy = await squid();
    const http = transport({ HTTP_PROXY: `http://127.0.0.1:${proxy.port}` });
    const response = await get(`http://registry.example:${registry.port}/v2/`, http);
    await response.body.discard();
    expect(response.status).toBe(503);
  });

  it('names the proxy when it cannot be reached, and when it hangs up (N11)', async () => {
    const proxy = createTcpServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const shown = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const http = transport({ HTTP_PROXY: shown });
    await expect(get('http://registry.example/v2/', http)).rejects.toMatchObject({
      code: 'NET_BROKEN',
      message: expect.stringContaining(`registry.example:80 (through the proxy ${shown}) broke`) as string,
    });
    await new Promise((resolve) => proxy.close(resolve));
    await expect(get('http://registry.example/v2/', http)).rejects.toMatchObject({
      code: 'NET_PROXY',
      message: expect.stringContaining(`the proxy ${shown} opened no connection: connect ECONNREFUSED`) as string,
    });
  });
});

describe('a registry without TLS behind a proxy (N10)', () => {
  it('takes uploads and gives blobs', async () => {
    const blob = blobOf(100_000);
    const location = '/v2/a/b/blobs/uploads/1';
    const registry = await scripted({
      [`GET /v2/a/b/blobs/${blob.digest.toString()}`]: { body: blob.bytes },
      'POST /v2/a/b/blobs/uploads/': { status: 202, headers: { location } },
      [`PUT ${location}`]: { status: 201 },
    });
    const proxy = await squid();
    const environment = { http_proxy: `127.0.0.1:${proxy.port}` };
    const endpoint = `http://registry.example:${registry.port}`;
    const { client } = clientFor(registry, { environment, endpoint });
    await client.uploadBlob({ ...blob, open: () => blob.bytes });
    expect((await collect(client.blob(blob, { transientChunks: true }))).equals(blob.bytes)).toBe(true);
    expect(registry.requests.find(({ method }) => method === 'PUT')?.body.equals(blob.bytes)).toBe(true);
    expect(proxy.asked().every((line) => line.includes(` ${endpoint}/v2/a/b/blobs/`))).toBe(true);
    expect(proxy.requests.length).toBeGreaterThanOrEqual(3);
  });
});
