import net from 'node:net';
import { hashSync } from 'bcryptjs';
import { expect, it, onTestFinished } from 'vitest';
import { parseHtpasswd } from '../../src/server/settings/htpasswd.ts';
import { eventually, imageManifest, OCI_MANIFEST, rawExchange, sha256, startRegistry } from './running-registry.ts';

const REPOSITORY = 'team/macos';
const MIB = 1024 * 1024;
const HOST = 'HTTP/1.1\r\nHost: localhost\r\n';

/** A connection of a client; it reads only what the kernel takes for it. */
async function connected(port: number, localAddress = '127.0.0.1'): Promise<net.Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', localAddress });
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => undefined);
  await new Promise<void>((resolve) => socket.once('connect', resolve));
  return socket;
}

it.skipIf(process.platform !== 'linux')(
  'a client that asks by a hundred connections at once is not served before another that asks by one (S72)',
  async () => {
    const { port, events } = await startRegistry();
    const many = await Promise.all(Array.from({ length: 100 }, async () => connected(port)));
    const other = await connected(port, '127.0.0.2');
    const all = [...many, other];
    for (const socket of all) socket.resume();
    const askAll = (): void => all.forEach((socket) => socket.write(`GET /v2/ ${HOST}\r\n`));
    // A first time, so that all connections are accepted.
    askAll();
    await eventually('all are answered', () => events.length === 101);
    askAll();
    await eventually('all are answered again', () => events.length === 202);
    const order = events.slice(101).map((event) => (event.kind === 'request' ? event.remote : ''));
    expect(order.filter((remote) => remote === '127.0.0.1')).toHaveLength(100);
    expect(order.indexOf('127.0.0.2')).toBeLessThan(20);
  },
);

it('manifests that come in on many connections are refused before they fill the memory (S73)', async () => {
  const { port, pushImage } = await startRegistry();
  const size = 4 * MIB;
  const begin = `PUT /v2/${REPOSITORY}/manifests/a ${HOST}Content-Type: ${OCI_MANIFEST}\r\nContent-Length: ${size}\r\n\r\n`;
  const unfinished = await Promise.all(Array.from({ length: 4 }, async () => connected(port)));
  for (const socket of unfinished) {
    await new Promise<void>((resolve) => socket.write(begin + ' '.repeat(size - 1), () => resolve()));
  }
  const refused = async (): Promise<boolean> =>
    /^HTTP\/1\.1 429 [\s\S]*retry-after: 1\r\n/i.test(await rawExchange(port, begin + ' '.repeat(size - 1), /\}\]\}$/));
  await eventually('a fifth one is refused', refused);
  for (const socket of unfinished) socket.destroy();
  await eventually('there is memory again', async () => {
    const heard = await rawExchange(port, begin + ' '.repeat(size), /\}\]\}$/);
    return heard.startsWith('HTTP/1.1 400 ');
  });
  expect(await pushImage(REPOSITORY, 'a')).toMatch(/^sha256:/);
});

it('manifests that clients do not read are sent from their files (S73)', async () => {
  const { port, send, pushBlob } = await startRegistry();
  await pushBlob(REPOSITORY, '{}');
  const body = imageManifest('{}', [], { annotations: { note: 'x'.repeat(4 * MIB - 1_000) } });
  const pushed = await send('PUT', `/v2/${REPOSITORY}/manifests/a`, {
    headers: { 'Content-Type': OCI_MANIFEST },
    body,
  });
  expect(pushed.status).toBe(201);
  const before = process.memoryUsage().arrayBuffers;
  const sockets = await Promise.all(Array.from({ length: 40 }, async () => connected(port)));
  for (const socket of sockets) {
    socket.pause();
    socket.write(`GET /v2/${REPOSITORY}/manifests/a ${HOST}\r\n`);
  }
  // What was asked later has been answered, and what was asked before is under way.
  expect(sha256((await send('GET', `/v2/${REPOSITORY}/manifests/a`)).body)).toBe(sha256(body));
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(60 * MIB);
});

it('long lists of referrers that a client does not read are bounded, and short ones are not (S73)', async () => {
  const { port, send, pushBlob } = await startRegistry();
  await pushBlob(REPOSITORY, '{}');
  const subject = { mediaType: OCI_MANIFEST, digest: sha256('subject'), size: 7 };
  for (const [name, length] of Object.entries({ long: 3.9 * MIB, short: 10 })) {
    const annotations = { note: 'x'.repeat(length) };
    const body = imageManifest('{}', [], { subject: { ...subject, digest: sha256(name) }, annotations });
    const target = `/v2/${REPOSITORY}/manifests/${name}`;
    expect((await send('PUT', target, { headers: { 'Content-Type': OCI_MANIFEST }, body })).status).toBe(201);
  }
  const ask = (name: string): string => `GET /v2/${REPOSITORY}/referrers/${sha256(name)} ${HOST}\r\n`;
  const unread = await Promise.all(Array.from({ length: 5 }, async () => connected(port)));
  for (const socket of unread) {
    socket.pause();
    socket.write(ask('long'));
  }
  await eventually('another one is refused', async () =>
    / 429 /.test(await rawExchange(port, ask('long'), /\r\n\r\n/)),
  );
  expect(await rawExchange(port, ask('short'), /\}\]\}$/)).toMatch(/^HTTP\/1\.1 200 /);
  for (const socket of unread) socket.destroy();
  await eventually('there is memory again', async () => / 200 /.test(await rawExchange(port, ask('long'), /\r\n\r\n/)));
});

it('a user who begins uploads without end displaces their own, and not those of another (S74)', async () => {
  const users = ['ana', 'bob'].map((name) => `${name}:${hashSync('secret', 4)}`);
  const auth = { kind: 'basic', htpasswd: parseHtpasswd(users.join('\n')) } as const;
  const { send, staged } = await startRegistry({ auth, limits: { openUploads: 3 } });
  const as = (name: string) => ({ Authorization: `Basic ${Buffer.from(`${name}:secret`).toString('base64')}` });
  const begin = async (name: string): Promise<string> => {
    const { status, headers } = await send('POST', `/v2/${REPOSITORY}/blobs/uploads/`, { headers: as(name) });
    expect(status).toBe(202);
    return headers.location ?? '';
  };
  const other = await begin('bob');
  const own = [await begin('ana'), await begin('ana'), await begin('ana'), await begin('ana')];
  const status = async (name: string, location: string): Promise<number> =>
    (await send('GET', location, { headers: as(name) })).status;
  expect(await status('bob', other)).toBe(204);
  expect(await Promise.all(own.map(async (location) => status('ana', location)))).toEqual([404, 404, 204, 204]);
  expect(staged()).toHaveLength(3);
});
