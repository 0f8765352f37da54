import { rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createRegistry } from '../../../src/server/server.ts';
import { temporaryDirectory } from '../../support/directory.ts';
import { eventually, noise, rawExchange, sha256, startRegistry } from '../running-registry.ts';

const REPOSITORY = 'team/macos';

describe('a slow client (S46)', () => {
  it('is cut off when its head does not come', async () => {
    const { port } = await startRegistry({ timeouts: { headers: 50 } });
    expect(await rawExchange(port, 'GET /v2/ HTTP/1.1\r\nHost: localh')).toMatch(/^HTTP\/1\.1 408 /);
  });

  it('is cut off when its body stops, and can go on later', async () => {
    const { port, send, begin } = await startRegistry({ timeouts: { idle: 100 } });
    const location = await begin(REPOSITORY);
    const head = `PATCH ${location} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n`;
    expect(await rawExchange(port, `${head}half`)).toBe('');
    expect((await send('GET', location)).headers.range).toBe('0-3');
  });

  it('is cut off when it does not read', async () => {
    const { port, pushBlob, events } = await startRegistry({ timeouts: { idle: 100 } });
    const digest = await pushBlob(REPOSITORY, noise(32 * 1024 * 1024));
    const socket = net.connect(port, '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    socket.on('error', () => undefined);
    socket.pause();
    const target = `/v2/${REPOSITORY}/blobs/${digest}`;
    socket.write(`GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await eventually('the server gave up', () =>
      events.some((event) => event.kind === 'request' && event.method === 'GET' && event.path === target),
    );
    expect(socket.bytesRead).toBeLessThan(32 * 1024 * 1024);
  });
});

describe('an unwanted body', () => {
  it('is answered while it is still being sent, and the connection ends', async () => {
    const { port, send } = await startRegistry();
    const head = 'PUT /v2/a/manifests/x HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 100000000\r\n\r\n';
    const answer = await rawExchange(port, head + 'x'.repeat(100_000));
    expect(answer).toMatch(/^HTTP\/1\.1 421 [^]*connection: close[^]*"DENIED"/i);
    expect((await send('GET', '/v2/')).status).toBe(200);
  });

  it('never becomes the next request (S47)', async () => {
    const { port } = await startRegistry();
    const body = 'GET /v2/_catalog HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const wanted = `GET /v2/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const last = 'GET /v2/a/tags/list HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
    const heard = await rawExchange(port, wanted + last);
    expect(heard.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 404']);
  });
});

it('a fault of ours is a 500 for that request, told to the log and not to the client (S50)', async () => {
  const { directory, send, events, pushImage } = await startRegistry();
  const digest = await pushImage(REPOSITORY, 'latest');
  const { body, headers } = await send('GET', `/v2/${REPOSITORY}/manifests/${digest}`);
  // A file where a directory must be: whatever the cause, the process goes on.
  const tags = path.join(directory, 'repositories', REPOSITORY, '_tags');
  rmSync(tags, { recursive: true });
  writeFileSync(tags, '');
  const target = `/v2/${REPOSITORY}/manifests/other`;
  const answer = await send('PUT', target, { headers: { 'Content-Type': headers['content-type'] }, body });
  expect([answer.status, answer.codes]).toEqual([500, ['UNKNOWN']]);
  expect(answer.body.toString()).not.toContain(directory);
  expect(events).toContainEqual(expect.objectContaining({ kind: 'failure', path: target }));
  expect((await send('GET', `/v2/${REPOSITORY}/manifests/${digest}`)).status).toBe(200);
});

it('a blob that became shorter breaks the connection instead of looking whole (S52)', async () => {
  const { directory, port, pushBlob } = await startRegistry();
  const digest = await pushBlob(REPOSITORY, noise(8 * 1024 * 1024));
  const hex = digest.slice('sha256:'.length);
  const broken = new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port, path: `/v2/${REPOSITORY}/blobs/${digest}` }, (response) => {
      writeFileSync(path.join(directory, 'blobs/sha256', hex.slice(0, 2), hex), '');
      response.on('error', resolve);
      response.once('end', () => reject(new Error('it looked whole')));
      response.resume();
    });
  });
  expect(await broken).toMatchObject({ code: 'ECONNRESET' });
});

describe('close', () => {
  it('ends idle connections at once and drops uploads', async () => {
    const { registry, port, begin, staged } = await startRegistry({ timeouts: { keepAlive: 60_000, close: 60_000 } });
    await begin(REPOSITORY);
    const idle = rawExchange(port, 'GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await registry.close();
    expect(await idle).toMatch(/^HTTP\/1\.1 200|^$/);
    expect(staged()).toEqual([]);
    await registry.close();
    expect(await rawExchange(port, 'GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n')).toBe('');
  });

  it('lets a request finish that is under way', async () => {
    const { registry, port, begin } = await startRegistry({ timeouts: { close: 60_000, keepAlive: 60_000 } });
    const location = await begin(REPOSITORY);
    const target = `${location}?digest=${sha256('abcd')}`;
    const answer = new Promise<number>((resolve, reject) => {
      const agent = new http.Agent({ keepAlive: true });
      const headers = { 'Content-Length': 4, Expect: '100-continue' };
      const request = http.request({ host: '127.0.0.1', port, method: 'PUT', path: target, headers, agent });
      request.once('continue', () => {
        const closed = registry.close();
        request.end('abcd');
        closed.catch(reject);
      });
      request.once('error', reject);
      request.once('response', (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      request.flushHeaders();
    });
    expect(await answer).toBe(201);
  });

  it('does not wait for ever', async () => {
    const { registry, port, begin, staged, send } = await startRegistry({ timeouts: { close: 50 } });
    const location = await begin(REPOSITORY);
    const stuck = rawExchange(port, `PATCH ${location} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabcd`);
    await eventually('it has begun', async () => (await send('GET', location)).headers.range === '0-3');
    await registry.close();
    expect(await stuck).toBe('');
    expect(staged()).toEqual([]);
  });
});

it('works behind another server', async () => {
  const registry = createRegistry({ dataDirectory: temporaryDirectory() });
  const server = http.createServer((request, response) => void registry.handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.close();
    await registry.close();
  });
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const answer = await fetch(`http://127.0.0.1:${port}/v2/a/blobs/uploads/?digest=${sha256('x')}`, {
    method: 'POST',
    body: 'x',
  });
  expect(answer.status).toBe(201);
  expect(await (await fetch(`http://127.0.0.1:${port}/v2/a/blobs/${sha256('x')}`)).text()).toBe('x');
});
