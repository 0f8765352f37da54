import { getEventListeners } from 'node:events';
import { createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RegistryAddress } from '../../../../src/names/registry-address.ts';
import { Tag } from '../../../../src/names/tag.ts';
import { systemClock } from '../../../../src/registry/request/clock.ts';
import { DirectConnection } from '../../../../src/registry/transport/direct/direct-connection.ts';
import { type DirectWay, directWay } from '../../../../src/registry/transport/direct/direct-transport.ts';
import { limits } from '../../../../src/registry/request/limits.ts';
import type { RegistryRequest } from '../../../../src/registry/request/request.ts';
import { parsePlainHead } from '../../../../src/registry/transport/direct/response-head.ts';
import { readingConnector, SocketReader } from '../../../../src/registry/transport/direct/socket-reader.ts';
import { TrustStore } from '../../../../src/registry/transport/connect/trust.ts';
import type { Answer, RecordedRequest } from '../../../support/scripted-registry.ts';
import { TestCa } from '../../certificates.ts';
import { after, blobOf, clientFor, collect, scripted } from '../../world.ts';

/*
 * What is particular to reading from the socket. That it behaves like the library wherever something breaks is proved
 * by blob.test.ts, which runs over both.
 */

/** More than one read, and no multiple of anything. */
const BLOB = blobOf(20_000_017);
const SMALL = blobOf(1000);
const OTHER = blobOf(2000);
const transientChunks = true;
const pathOf = ({ digest }: typeof BLOB): string => `/v2/a/b/blobs/${digest.toString()}`;

let ca: TestCa;
beforeAll(() => {
  ca = new TestCa();
});
afterAll(() => ca.remove());

describe.each(['http', 'https'] as const)('over %s', (scheme) => {
  async function serving(routes: Record<string, Answer | ((request: RecordedRequest) => Answer)>) {
    const tls = scheme === 'https' ? { tls: ca.issue('IP:127.0.0.1') } : {};
    const registry = await scripted(routes, tls);
    return { registry, ...clientFor(registry, { environment: { SSL_CERT_FILE: ca.file } }) };
  }

  it('a large body comes complete, in pieces of memory that is used again', async () => {
    const { client } = await serving({ [`GET ${pathOf(BLOB)}`]: { body: BLOB.bytes } });
    const memories = new Set<unknown>();
    const pieces: Buffer[] = [];
    for await (const piece of client.blob(BLOB, { transientChunks })) {
      memories.add(piece.buffer);
      pieces.push(Buffer.from(piece));
    }
    expect(Buffer.concat(pieces).equals(BLOB.bytes)).toBe(true);
    expect(pieces.length).toBeGreaterThan(8);
    expect(memories.size).toBeLessThan(8);
    // Records of TLS have 16 KiB, of which there were more than a thousand.
    expect(pieces.length).toBeLessThan(600);
  });

  it('a piece stays what it is until the next is asked for, however late that is', async () => {
    const { client } = await serving({ [`GET ${pathOf(BLOB)}`]: { body: BLOB.bytes } });
    let at = 0;
    for await (const piece of client.blob(BLOB, { transientChunks })) {
      const before = Buffer.from(piece);
      // Some rounds of the event loop, in which the connection could write into it.
      for (let round = 0; round < 5; round += 1) await new Promise((resolve) => setImmediate(resolve));
      expect(before.equals(piece)).toBe(true);
      expect(before.equals(BLOB.bytes.subarray(at, at + piece.length))).toBe(true);
      at += piece.length;
    }
    expect(at).toBe(BLOB.size);
  });

  it('one connection serves one blob after the other, an error message between them included', async () => {
    const { client, registry } = await serving({
      [`GET ${pathOf(SMALL)}`]: { body: SMALL.bytes },
      [`GET ${pathOf(OTHER)}`]: ({ headers }) =>
        headers['range'] === undefined ? { body: OTHER.bytes } : { status: 416, body: 'no such range' },
    });
    expect(await collect(client.blob(SMALL, { transientChunks }))).toEqual(SMALL.bytes);
    expect(await collect(client.blob(OTHER, { transientChunks }))).toEqual(OTHER.bytes);
    expect(await collect(client.blob(SMALL, { transientChunks }))).toEqual(SMALL.bytes);
    expect(registry.requests.map(({ connection }) => connection)).toEqual([1, 1, 1]);
  });

  it('a manifest comes this way too, and none of it is lost when memory is used again', async () => {
    // Long enough for memory to be used again.
    const long = blobOf(6_000_003).bytes.toString('base64');
    const manifest = JSON.stringify({ schemaVersion: 2, annotations: { long } });
    const { client } = await serving({ 'GET /v2/a/b/manifests/big': { body: manifest } });
    const { bytes } = await client.manifest({ tag: Tag.parse('big') });
    expect(Buffer.from(bytes).toString() === manifest).toBe(true);
  });

  it('a manifest in chunks is left to the library, which asks again, and for all later ones', async () => {
    const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n';
    const { client, registry } = await serving({ '*': { raw: chunked } });
    for (let count = 0; count < 3; count += 1) {
      expect(Buffer.from((await client.manifest({ tag: Tag.parse('chunked') })).bytes).toString()).toBe('{}');
    }
    expect(registry.requests).toHaveLength(4);
  });

  it('an odd way to serve manifests says nothing about blobs', async () => {
    const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n';
    const { client, registry } = await serving({
      'GET /v2/a/b/manifests/chunked': { raw: chunked },
      [`GET ${pathOf(SMALL)}`]: { body: SMALL.bytes },
    });
    await client.manifest({ tag: Tag.parse('chunked') });
    await collect(client.blob(SMALL, { transientChunks }));
    await collect(client.blob(SMALL, { transientChunks }));
    // The first was closed, the second is the library's, and the third served both blobs.
    expect(registry.requests.map(({ connection }) => connection)).toEqual([1, 2, 3, 3]);
  });

  it('a manifest that is not there costs no connection', async () => {
    const { client, registry } = await serving({ '*': { status: 404, body: '{"errors":[]}' } });
    for (let count = 0; count < 3; count += 1) {
      await expect(client.manifest({ tag: Tag.parse('none') })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    }
    expect(registry.requests.map(({ connection }) => connection)).toEqual([1, 1, 1]);
  });

  it('sends what the library sends, and nothing more', async () => {
    const { client, registry } = await serving({ '*': { body: SMALL.bytes } });
    await collect(client.blob(SMALL));
    await collect(client.blob(SMALL, { transientChunks }));
    const [one, two] = registry.requests;
    expect(two).toEqual({ ...one, connection: 2 });
  });
});

describe('an answer is over once', () => {
  const ask = (path: string, signal?: AbortSignal) => async (transport: DirectWay, origin: string) => {
    const request: RegistryRequest = {
      method: 'GET',
      url: new URL(path, origin),
      headers: {},
      access: { action: 'pull' },
      idempotent: true,
      transientChunks: 'blob',
    };
    const response = await transport.send(request, {}, signal);
    if (response === undefined) throw new Error('it was left to the library');
    return response.body;
  };

  function direct(): DirectWay {
    const environment = {};
    const options = { environment, trust: new TrustStore({ environment }), limits, userAgent: 'x' };
    const transport = directWay(options, { clock: systemClock, limits });
    after(async () => transport.close());
    return transport;
  }

  it('what is destroyed or discarded afterwards does not touch the next one on its connection', async () => {
    const registry = await scripted({ 'GET /a': { body: 'a' }, 'GET /b': { body: 'b' }, 'GET /c': { body: 'c' } });
    const transport = direct();
    const first = await ask('/a')(transport, registry.origin);
    await collect(first);
    const second = ask('/b')(transport, registry.origin);
    first.destroy();
    await first.discard();
    expect(Buffer.from(await collect(await second)).toString()).toBe('b');
    await collect(await ask('/c')(transport, registry.origin));
    expect(registry.requests.map(({ connection }) => connection)).toEqual([1, 1, 1]);
  });

  it('a reader that leaves after its last byte leaves nothing behind', async () => {
    const registry = await scripted({ '*': { body: 'abc' } });
    const transport = direct();
    const { signal } = new AbortController();
    const body = await ask('/a', signal)(transport, registry.origin);
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    for await (const _ of body) break;
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    await collect(await ask('/a')(transport, registry.origin));
    expect(registry.requests.map(({ connection }) => connection)).toEqual([1, 1]);
  });

  it('a reader that leaves earlier ends its connection', async () => {
    const registry = await scripted({ '*': { body: BLOB.bytes } });
    const transport = direct();
    const { signal } = new AbortController();
    for await (const _ of await ask('/a', signal)(transport, registry.origin)) break;
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    (await ask('/a')(transport, registry.origin)).destroy();
    expect(registry.requests.map(({ connection }) => connection)).toEqual([1, 2]);
  });

  it('bytes behind an empty body are no answer to the next request', async () => {
    const empty = 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n';
    const registry = await scripted({ 'GET /a': { raw: `${empty}HTTP/1.1 200 OK` }, 'GET /b': { body: 'b' } });
    const transport = direct();
    await collect(await ask('/a')(transport, registry.origin));
    expect(Buffer.from(await collect(await ask('/b')(transport, registry.origin))).toString()).toBe('b');
    expect(registry.requests.map(({ connection }) => connection)).toEqual([1, 2]);
  });
});

it('a request that is over before it is sent does not wait for an answer', async () => {
  const registry = await scripted({ '*': () => new Promise<never>(() => {}) });
  const { hostname, host, port, protocol } = new URL(registry.origin);
  const socket = await new Promise<Socket>((resolve, reject) => {
    readingConnector()()({ hostname, host, port, protocol }, (error, made) => {
      if (made === null) reject(error ?? new Error('no connection'));
      else resolve(made);
    });
  });
  after(async () => socket.destroy());
  const gone = new Error('gone');
  const connection = new DirectConnection(socket, limits);
  await expect(connection.ask('GET / HTTP/1.1\r\n\r\n', AbortSignal.abort(gone))).rejects.toBe(gone);
});

it('a reader is not woken by what it has read before', async () => {
  const reader = new SocketReader();
  const arrive = (length: number): void => {
    reader.onread.callback(length, reader.onread.buffer());
    reader.onread.buffer();
  };
  arrive(1000);
  expect(await reader.read()).toHaveLength(1000);
  // Waits while the call that the first piece asked for still has to come.
  const second = reader.read();
  await new Promise((resolve) => setImmediate(resolve));
  arrive(2000);
  expect(await second).toHaveLength(2000);
});

/** A server that answers each connection by hand. */
async function byHand(answer: (socket: Socket, connection: number) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    answer(socket, sockets.size);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  const origin = `http://127.0.0.1:${port}`;
  const { client } = clientFor(RegistryAddress.parse(`127.0.0.1:${port}`), { endpoint: origin });
  return { client, sockets };
}

const HEAD = `HTTP/1.1 200 OK\r\nX-Long: ${'x'.repeat(500)}\r\nContent-Length: ${SMALL.size}\r\n\r\n`;

it('a head is understood wherever it is cut', async () => {
  const whole = Buffer.concat([Buffer.from(HEAD), SMALL.bytes]);
  let cut = 0;
  const { client } = await byHand((socket) => {
    socket.setNoDelay(true);
    socket.on('data', () => {
      const at = (cut += 1);
      socket.write(whole.subarray(0, at));
      setImmediate(() => socket.write(whole.subarray(at)));
    });
  });
  for (let count = 0; count < HEAD.length + 3; count += 1) {
    expect((await collect(client.blob(SMALL, { transientChunks }))).equals(SMALL.bytes)).toBe(true);
  }
});

it('a connection that was closed while it waited is replaced without a word', async () => {
  const { client, sockets } = await byHand((socket, connection) => {
    socket.on('data', () => {
      // The first connection ends when it is asked a second time, as if the request had crossed the close.
      if (connection === 1 && socket.bytesRead > 400) socket.destroy();
      else socket.write(Buffer.concat([Buffer.from(HEAD), SMALL.bytes]));
    });
  });
  await collect(client.blob(SMALL, { transientChunks }));
  let asked = 1;
  while (sockets.size === 1 && asked < 10) {
    expect((await collect(client.blob(SMALL, { transientChunks }))).equals(SMALL.bytes)).toBe(true);
    asked += 1;
  }
  expect(sockets.size).toBe(2);
});

it('a server that closes after its answer is asked on another connection', async () => {
  const { client, sockets } = await byHand((socket) => {
    socket.on('data', () =>
      socket.write(Buffer.concat([Buffer.from(HEAD.replace('X-Long', 'Connection: close\r\nX-Long')), SMALL.bytes])),
    );
  });
  for (let count = 0; count < 2; count += 1) await collect(client.blob(SMALL, { transientChunks }));
  expect(sockets.size).toBe(2);
});

it('bytes behind a body belong to nothing, and end the connection', async () => {
  const { client, sockets } = await byHand((socket) => {
    socket.on('data', () => socket.write(Buffer.concat([Buffer.from(HEAD), SMALL.bytes, Buffer.from('HTTP/1.1 200')])));
  });
  for (let count = 0; count < 2; count += 1) {
    expect(await collect(client.blob(SMALL, { transientChunks }))).toEqual(SMALL.bytes);
  }
  expect(sockets.size).toBe(2);
});

describe('which answers are plain enough', () => {
  const head = (...lines: string[]): string => ['HTTP/1.1 200 OK', ...lines].join('\r\n');

  it.each([
    ['a blob', head('Content-Length: 12'), { status: 200, length: 12, keepsAlive: true }],
    ['a part', 'HTTP/1.1 206 \r\ncontent-length:0', { status: 206, length: 0, keepsAlive: true }],
    ['no reason', 'HTTP/1.1 404\r\nContent-Length: 7', { status: 404, length: 7, keepsAlive: true }],
    ['the last', head('Content-Length: 5', 'Connection: Close'), { status: 200, length: 5, keepsAlive: false }],
    ['an odd name', head('constructor: 1', '__proto__: 2', 'Content-Length: 5'), { status: 200, length: 5 }],
  ])('%s', (_, text, expected) => {
    expect(parsePlainHead(text)).toMatchObject(expected);
  });

  it.each([
    ['no length', head('ETag: "x"')],
    ['two lengths', head('Content-Length: 5', 'Content-Length: 5')],
    ['a list of lengths', head('Content-Length: 5, 5')],
    ['a signed length', head('Content-Length: +5')],
    ['no number', head('Content-Length: five')],
    ['chunks', head('Content-Length: 5', 'Transfer-Encoding: chunked')],
    ['a coding', head('Content-Length: 5', 'Content-Encoding: gzip')],
    ['an upgrade', head('Content-Length: 5', 'Upgrade: h2c')],
    ['a folded line', head('Content-Length: 5', ' X: y')],
    ['a blank before the colon', head('Content-Length : 5')],
    ['no name', head(': 5', 'Content-Length: 5')],
    ['a bare line feed', head('Content-Length: 5\nX: y')],
    ['a NUL', head('Content-Length: 5', 'X: a\0b')],
    ['HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 5'],
    ['another protocol', 'ICY 200 OK\r\nContent-Length: 5'],
    ['an interim answer', 'HTTP/1.1 103 Early Hints\r\nContent-Length: 5'],
    ['no body at all', 'HTTP/1.1 204 No Content\r\nContent-Length: 5'],
    ['not modified', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\nContent-Length: 5'],
    ['nothing', ''],
  ])('%s is for the library', (_, text) => {
    expect(parsePlainHead(text)).toBeUndefined();
  });
});
