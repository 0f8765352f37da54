import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import { TestCa } from '../../registry/certificates.ts';
import { diskUsage, eventually, noise, rawExchange, type RunningRegistry, startRegistry } from '../running-registry.ts';

const REPOSITORY = 'team/macos';
const PING = 'GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n';

/** A connection that says this and then nothing; `closed` is whether the server has ended it. */
async function silent(port: number, text = ''): Promise<{ readonly socket: net.Socket; closed: boolean }> {
  const socket = net.connect(port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  const state = { socket, closed: false };
  socket.on('error', () => undefined);
  socket.on('close', () => (state.closed = true));
  socket.resume();
  await new Promise<void>((resolve) => socket.once('connect', resolve));
  if (text !== '') socket.write(text);
  return state;
}

describe('the places of the server (S63)', () => {
  it('are not kept by connections that ask nothing: the oldest gives way', async () => {
    const { port } = await startRegistry({ limits: { connections: 3 } });
    const idle = [await silent(port), await silent(port), await silent(port)];
    expect(await rawExchange(port, PING, /200/)).toMatch(/^HTTP\/1\.1 200 /);
    await eventually('one has gone', () => idle.some(({ closed }) => closed));
    expect(idle.map(({ closed }) => closed)).toEqual([true, false, false]);
  });

  it('are kept by uploads at work, until these have gone', async () => {
    const running = await startRegistry({ limits: { connections: 2 }, timeouts: { progress: 600_000 } });
    const uploads = await twoSlowUploads(running);
    expect(await rawExchange(running.port, PING, /200/)).toBe('');
    expect(uploads.map(({ closed }) => closed)).toEqual([false, false]);
    for (const { socket } of uploads) socket.destroy();
    await eventually('there is place again', async () => /200/.test(await rawExchange(running.port, PING, /200/)));
  });

  it('are shared: one client has its own part', async () => {
    const { port } = await startRegistry({ limits: { connections: 10, connectionsPerClient: 2 } });
    const first = await silent(port);
    await silent(port);
    await silent(port);
    await eventually('the first has given way', () => first.closed);
    expect((await rawExchange(port, PING, /200/)).length).toBeGreaterThan(0);
  });

  it.skipIf(process.platform !== 'linux')(
    'go to another client when one has most of them, however busy, and not to that one',
    async () => {
      const running = await startRegistry({ limits: { connections: 2 }, timeouts: { progress: 600_000 } });
      const uploads = await twoSlowUploads(running);
      expect(await rawExchange(running.port, PING, /200/)).toBe('');
      expect(await rawExchange(running.port, PING, /200/, '127.0.0.2')).toMatch(/^HTTP\/1\.1 200 /);
      await eventually('one has gone', () => uploads.some(({ closed }) => closed));
      expect(uploads.filter(({ closed }) => closed)).toHaveLength(1);
    },
  );

  it('go to a new connection when uploads hardly move', async () => {
    const running = await startRegistry({
      limits: { connections: 2 },
      timeouts: { progress: 3_000, idle: 600_000 },
    });
    const uploads = await twoSlowUploads(running);
    await eventually('a newcomer is served', async () => /200/.test(await rawExchange(running.port, PING, /200/)));
    expect(uploads.map(({ closed }) => closed)).toContain(true);
  });
});

/** Two connections of which each has sent one byte of its upload. */
async function twoSlowUploads(running: RunningRegistry): Promise<{ readonly socket: net.Socket; closed: boolean }[]> {
  const locations = [await running.begin(REPOSITORY), await running.begin(REPOSITORY)];
  const uploads = locations.map(async (location) =>
    silent(running.port, `PATCH ${location} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx`),
  );
  const both = await Promise.all(uploads);
  await eventually('both are here', () => diskUsage(path.join(running.directory, 'staging')) === 2);
  return both;
}

describe('a connection (S63)', () => {
  it('is ended when its upload moves too slowly, and what it sent is kept', async () => {
    const { port, begin, send } = await startRegistry({ timeouts: { progress: 300, idle: 600_000 } });
    const location = await begin(REPOSITORY);
    const upload = await silent(port, `PATCH ${location} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n`);
    const drip = setInterval(() => upload.socket.write('x'), 20);
    onTestFinished(() => clearInterval(drip));
    await eventually('it was cut off', () => upload.closed);
    expect((await send('GET', location)).headers.range).toMatch(/^0-\d+$/);
  });

  it('is ended when it reads too slowly', async () => {
    const { port, pushBlob, events } = await startRegistry({ timeouts: { progress: 300, idle: 600_000 } });
    const digest = await pushBlob(REPOSITORY, noise(32 * 1024 * 1024));
    const reader = await silent(port, `GET /v2/${REPOSITORY}/blobs/${digest} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    reader.socket.pause();
    await eventually('the server gave up', () =>
      events.some((event) => event.kind === 'request' && event.method === 'GET'),
    );
    expect(reader.socket.bytesRead).toBeLessThan(32 * 1024 * 1024);
  });

  it('has a time for its first request, also when it greets by TLS or does not', async () => {
    const ca = new TestCa();
    onTestFinished(() => ca.remove());
    const { port } = await startRegistry({
      tls: ca.issue('IP:127.0.0.1'),
      timeouts: { firstRequest: 300, keepAlive: 600_000 },
    });
    const greet = async (text: string): Promise<{ closed: boolean }> => {
      const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
      onTestFinished(() => void socket.destroy());
      const state = { closed: false };
      socket.on('error', () => undefined);
      socket.on('close', () => (state.closed = true));
      await new Promise((resolve) => socket.once('secureConnect', resolve));
      if (text !== '') {
        socket.write(text);
        await new Promise((resolve) => socket.once('data', resolve));
      }
      socket.resume();
      return state;
    };
    const asked = await greet(PING);
    const [mute, greeted] = [await silent(port), await greet('')];
    await eventually('both have gone', () => mute.closed && greeted.closed);
    expect(asked.closed).toBe(false);
  });
});
