import { readdirSync, readlinkSync } from 'node:fs';
import net from 'node:net';
import { hashSync } from 'bcryptjs';
import { expect, it, onTestFinished } from 'vitest';
import { parseHtpasswd } from '../../../src/server/settings/htpasswd.ts';
import type { AuthOptions } from '../../../src/server/settings/options.ts';
import { eventually, noise, rawExchange, sha256, startRegistry } from '../running-registry.ts';

const REPOSITORY = 'team/macos';
const auth: AuthOptions = { kind: 'basic', htpasswd: parseHtpasswd(`ana:${hashSync('secret', 4)}`) };

function guess(password: string): string {
  const login = Buffer.from(`ana:${password}`).toString('base64');
  return `GET /v2/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic ${login}\r\n\r\n`;
}

const statuses = (heard: string): string[] => [...heard.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status = '']) => status);

/** Files below a directory that this process has open. */
function openBelow(directory: string): number {
  const targets = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return '';
    }
  });
  return targets.filter((target) => target.startsWith(`${directory}/`) && !target.endsWith('.lock')).length;
}

it('guesses sent ahead of their answers are counted before they are looked at, and answered in order (S58)', async () => {
  const { port } = await startRegistry({ auth });
  const guesses = Array.from({ length: 30 }, (_, at) => guess(String(at))).join('');
  const end = 'GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
  const answers = statuses(await rawExchange(port, guesses + end));
  expect(answers).toEqual([...Array(20).fill('401'), ...Array(10).fill('429'), '401']);
});

it('guesses on many connections at once are counted before they are looked at (S58)', async () => {
  const { send } = await startRegistry({ auth });
  const answers = await Promise.all(
    Array.from({ length: 60 }, async (_, at) => {
      const Authorization = `Basic ${Buffer.from(`ana:${at}`).toString('base64')}`;
      return (await send('GET', '/v2/', { headers: { Authorization } })).status;
    }),
  );
  expect(answers.filter((status) => status === 401)).toHaveLength(20);
  expect(answers.filter((status) => status === 429)).toHaveLength(40);
});

it('a client that begins with many connections and the right password has made one attempt (S58)', async () => {
  const { send } = await startRegistry({ auth });
  const Authorization = `Basic ${Buffer.from('ana:secret').toString('base64')}`;
  const answers = Array.from({ length: 60 }, async () => send('GET', '/v2/', { headers: { Authorization } }));
  expect(new Set((await Promise.all(answers)).map(({ status }) => status))).toEqual(new Set([200]));
});

it('a request is answered while a password is being compared (S58)', async () => {
  // Cost 14 takes a second and more.
  const slow: AuthOptions = {
    ...auth,
    htpasswd: parseHtpasswd(`ana:$2b$14$${hashSync('x', 4).slice(7)}`),
    anonymousRead: true,
  };
  const { port, send } = await startRegistry({ auth: slow });
  const order: string[] = [];
  const guessing = rawExchange(port, guess('wrong'), /401/).then(() => order.push('guess'));
  await Promise.all([guessing, send('GET', '/v2/_catalog').then(() => order.push('catalog'))]);
  expect(order).toEqual(['catalog', 'guess']);
});

it.skipIf(process.platform !== 'linux')(
  'a connection that asks for a blob often and reads nothing has one file open, and none when it is gone (S59)',
  async () => {
    const { port, directory, pushBlob, events } = await startRegistry();
    const digest = await pushBlob(REPOSITORY, noise(16 * 1024 * 1024));
    const socket = net.connect(port, '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    socket.on('error', () => undefined);
    socket.pause();
    socket.write(`GET /v2/${REPOSITORY}/blobs/${digest} HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(500));
    await eventually('the blob is being sent', () => openBelow(directory) > 0);
    // A request of another connection that comes later is answered: all that was sent before has been taken in.
    expect(await rawExchange(port, 'GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n', /200/)).toMatch(/^HTTP\/1\.1 200 /);
    expect(openBelow(directory)).toBe(1);
    socket.destroy();
    await eventually('every file is closed', () => openBelow(directory) === 0);
    expect(events.filter(({ kind }) => kind === 'failure')).toEqual([]);
  },
);

it.skipIf(process.platform !== 'linux')('an upload that rests has no file open (S59)', async () => {
  const { directory, begin, send } = await startRegistry();
  const locations = [await begin(REPOSITORY), await begin(REPOSITORY)];
  for (const location of locations) expect((await send('PATCH', location, { body: 'half' })).status).toBe(202);
  expect(openBelow(directory)).toBe(0);
  for (const location of locations) {
    expect((await send('PUT', `${location}?digest=${sha256('half and half')}`, { body: ' and half' })).status).toBe(
      201,
    );
  }
});

it('after 32 requests ahead of their answers the connection ends, with those answered (S59)', async () => {
  const { port } = await startRegistry();
  const heard = await rawExchange(port, 'GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(700));
  expect(statuses(heard)).toEqual(Array(33).fill('200'));
});

it('a client that sends thousands of requests ahead of their answers loses the connection (S59)', async () => {
  const { port, send } = await startRegistry();
  const heads = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(2_000);
  const heard = await Promise.all(Array.from({ length: 8 }, async () => rawExchange(port, heads)));
  for (const each of heard) expect(statuses(each).length).toBeLessThanOrEqual(33);
  expect((await send('GET', '/v2/')).status).toBe(200);
});
