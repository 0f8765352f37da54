import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { limits } from '../../../../src/registry/request/limits.ts';
import { proxyFor } from '../../../../src/registry/transport/connect/proxy.ts';
import { httpTransport } from '../../../../src/registry/transport/transport.ts';
import { TestCa } from '../../certificates.ts';
import { after, scripted } from '../../world.ts';

const access = { action: 'pull' } as const;
let ca: TestCa;

beforeAll(() => {
  ca = new TestCa();
});

afterAll(() => ca.remove());

/** A proxy that connects every CONNECT to one port, or answers as told. */
async function proxy(to: number, refuse?: (socket: Socket) => void) {
  const targets: string[] = [];
  const requests: IncomingMessage[] = [];
  const sockets = new Set<Socket>();
  const server = createServer();
  server.on('connect', (request: IncomingMessage, socket: Socket) => {
    targets.push(request.url ?? '');
    requests.push(request);
    sockets.add(socket);
    socket.on('error', () => {});
    if (refuse !== undefined) {
      refuse(socket);
      return;
    }
    const upstream = connect(to, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.on('error', () => socket.destroy());
    socket.on('close', () => upstream.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { port: (server.address() as AddressInfo).port, targets, requests };
}

async function get(url: string, environment: Record<string, string>) {
  const http = httpTransport({ userAgent: 'Tartlet/0', environment, limits });
  after(() => http.close());
  return http.send({ method: 'GET', url: new URL(url), headers: {}, access, idempotent: true });
}

describe('a proxy (N10)', () => {
  it('tunnels TLS to the registry, which the proxy cannot see', async () => {
    const registry = await scripted({ 'GET /v2/': { body: '{}' } }, { tls: ca.issue('DNS:registry.example') });
    const { port, targets, requests } = await proxy(registry.port);
    const environment = { https_proxy: `http://user:p%40ss@127.0.0.1:${port}`, SSL_CERT_FILE: ca.file };
    const response = await get('https://registry.example:8221/v2/', environment);
    await response.body.discard();
    expect(response.status).toBe(200);
    expect(targets).toEqual(['registry.example:8221']);
    expect(requests[0]?.headers['proxy-authorization']).toBe(`Basic ${Buffer.from('user:p@ss').toString('base64')}`);
    expect(registry.requests[0]?.headers).not.toHaveProperty('proxy-authorization');
    expect(registry.requests[0]?.headers['host']).toBe('registry.example:8221');
  });

  it('still has the certificate checked (S37)', async () => {
    const registry = await scripted({}, { tls: ca.issue('DNS:other.example') });
    const { port } = await proxy(registry.port);
    const environment = { HTTPS_PROXY: `127.0.0.1:${port}`, SSL_CERT_FILE: ca.file };
    await expect(get('https://registry.example/v2/', environment)).rejects.toMatchObject({ code: 'NET_TLS' });
  });

  it.each([
    [
      'answers 407',
      (socket: Socket) => socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n'),
      407,
      'give-proxy-password',
    ],
    ['answers 502', (socket: Socket) => socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n<html>'), 502, 'check-proxy'],
    ['hangs up', (socket: Socket) => socket.destroy(), undefined, 'check-proxy'],
  ])('that %s is named without its password, after one CONNECT (N11)', async (_title, refuse, status, next) => {
    const { port, targets } = await proxy(0, refuse);
    const failure = get('https://registry.example/v2/', { HTTPS_PROXY: `http://user:s3cret@127.0.0.1:${port}` });
    await expect(failure).rejects.toMatchObject({
      code: 'NET_PROXY',
      message: expect.stringContaining(`the proxy http://127.0.0.1:${port} opened no connection`) as string,
      facts: {
        subject: `http://127.0.0.1:${port}`,
        next: { kind: next, variable: expect.stringMatching(/^HTTPS?_PROXY$/) as string },
        ...(status === undefined ? {} : { status }),
      },
    });
    const [outcome] = await Promise.allSettled([failure]);
    expect(JSON.stringify(outcome)).not.toContain('s3cret');
    expect(targets).toHaveLength(1);
  });
});

describe('which proxy is used (N10)', () => {
  const url = (text: string) => new URL(text);

  it.each([
    ['https://r.example/', { HTTPS_PROXY: 'http://p:1' }, 'http://p:1/'],
    ['https://r.example/', { HTTPS_PROXY: 'http://p:1', https_proxy: 'http://q:2' }, 'http://q:2/'],
    ['https://r.example/', { HTTP_PROXY: 'http://p:1' }, undefined],
    ['https://r.example/', { ALL_PROXY: 'p:1' }, 'http://p:1/'],
    ['http://r.example/', { http_proxy: 'https://p:1' }, 'https://p:1/'],
    ['https://r.example/', { HTTPS_PROXY: ' ' }, undefined],
    ['https://localhost:5000/', { HTTPS_PROXY: 'http://p:1' }, undefined],
    ['https://x.localhost/', { HTTPS_PROXY: 'http://p:1' }, undefined],
    ['https://[::ffff:127.0.0.1]:5000/', { HTTPS_PROXY: 'http://p:1' }, undefined],
    ['https://127.9.9.9/', { HTTPS_PROXY: 'http://p:1' }, undefined],
    ['https://[::1]:5000/', { HTTPS_PROXY: 'http://p:1' }, undefined],
  ])('%s with %j: %s', (target, environment, expected) => {
    expect(proxyFor(url(target), environment)?.url.href).toBe(expected);
  });

  it.each([
    ['*', 'https://r.example/', true],
    ['r.example', 'https://r.example/', true],
    ['r.example', 'https://a.r.example/', true],
    ['r.example', 'https://ar.example/', false],
    ['.r.example', 'https://a.r.example/', true],
    ['*.r.example', 'https://a.r.example/', true],
    ['R.Example', 'https://r.example/', true],
    ['r.example:8221', 'https://r.example:8221/', true],
    ['r.example:8221', 'https://r.example/', false],
    ['r.example:443', 'https://r.example/', true],
    ['x, r.example y', 'https://r.example/', true],
    ['10.0.0.0/8', 'https://10.1.2.3:5000/', true],
    ['10.0.0.0/8', 'https://11.1.2.3/', false],
    ['10.0.0.0/99', 'https://10.1.2.3/', false],
    ['10.1.2.3', 'https://10.1.2.3/', true],
    ['10.1.2.3:80', 'https://10.1.2.3/', false],
    ['fd00::/8', 'https://[fd12::1]/', true],
    ['fd12::1', 'https://[fd12:0::1]/', true],
    ['[fd12::1]:5000', 'https://[fd12::1]:5000/', true],
    ['[fd12::1]:5000', 'https://[fd12::1]/', false],
    ['', 'https://r.example/', false],
    ['.', 'https://r.example/', false],
  ])('NO_PROXY %j spares %s: %s', (noProxy, target, spared) => {
    const proxied = proxyFor(url(target), { HTTPS_PROXY: 'http://p:1', NO_PROXY: noProxy });
    expect(proxied === undefined).toBe(spared);
  });

  it.each(['socks5://p:1', 'http://', '::'])('is an error when it is none: %s', (value) => {
    expect(() => proxyFor(url('https://r.example/'), { HTTPS_PROXY: value })).toThrowError(
      expect.objectContaining({ code: 'NET_PROXY' }),
    );
  });
});
