import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { RegistryAddress } from '../../src/names/registry-address.ts';
import { Tag } from '../../src/names/tag.ts';
import { limits } from '../../src/registry/request/limits.ts';
import { networkError } from '../../src/registry/request/network-error.ts';
import { httpTransport } from '../../src/registry/transport/transport.ts';
import { TestCa } from '../registry/certificates.ts';
import { after, blobOf, clientFor, collect, password, scripted, tokenService } from '../registry/world.ts';
import { atFirst, honest } from '../support/scripted-image.ts';
import { ScriptedRegistry } from '../support/scripted-registry.ts';

const BLOB = blobOf(3000);
const PATH = `/v2/a/b/blobs/${BLOB.digest.toString()}`;
const GET = `GET ${PATH}`;
const SIZE = { 'content-length': '3000' };
const HALF = { headers: SIZE, body: BLOB.bytes.subarray(0, 1500), ending: 'fin' } as const;
const MANIFEST = 'GET /v2/a/b/manifests/latest';
const TAG = { tag: Tag.parse('latest') };

/** A port of a process that listens and never accepts: when its queue is full, further attempts are not answered. */
async function blackHole(): Promise<number> {
  const script = `
    const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      require('node:fs').writeSync(1, String(server.address().port));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });`;
  const child: ChildProcess = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [text] = (await once(child.stdout ?? child, 'data')) as [Buffer];
  const port = Number(text.toString());
  const fillers: Socket[] = Array.from({ length: 4 }, () => connect(port, '127.0.0.1').on('error', () => undefined));
  onTestFinished(() => {
    for (const socket of fillers) socket.destroy();
  });
  await Promise.race(fillers.map(async (socket) => once(socket, 'connect')));
  return port;
}

it('an attempt without an answer ends in time, and says so (N3)', async () => {
  const port = await blackHole();
  const { client, clock } = clientFor(RegistryAddress.parse(`127.0.0.1:${port}`), {
    endpoint: `http://127.0.0.1:${port}`,
    change: { connectMs: 100, attempts: 2 },
  });
  await expect(client.manifest(TAG)).rejects.toMatchObject({
    code: 'NET_TIMEOUT',
    message: expect.stringContaining(`127.0.0.1:${port} does not answer`) as string,
  });
  expect(clock.slept).toEqual([250]);
});

describe('an exception of our own', () => {
  const url = new URL('https://x.example');
  const coded = (code: string): Error => Object.assign(new RangeError('"end" is out of range'), { code });

  it.each([
    new TypeError('undefined is no function'),
    coded('ERR_OUT_OF_RANGE'),
    coded('ERR_INVALID_ARG_TYPE'),
    coded('UND_ERR_REQ_CONTENT_LENGTH_MISMATCH'),
    'a text',
  ])('is never called a fault of the network, nor tried again: %s (P11)', (error) => {
    expect(networkError(error, url)).toMatchObject({ code: 'INTERNAL', facts: { retryable: false } });
  });

  it.each(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET', 'UND_ERR_INFO', 'ERR_STREAM_PREMATURE_CLOSE', 'EIO'])(
    '%s is one of the network',
    (code) => {
      expect(networkError(coded(code), url)).toMatchObject({ code: 'NET_BROKEN', facts: { retryable: true } });
    },
  );
});

describe('a network that is down for a while', () => {
  it.each(['ENETUNREACH', 'EHOSTUNREACH', 'EADDRNOTAVAIL', 'ENETDOWN'])('passes, says %s (N6)', (code) => {
    const error = networkError(Object.assign(new Error(`connect ${code}`), { code }), new URL('https://x.example'));
    expect(error).toMatchObject({ code: 'NET_CONNECT', facts: { retryable: true } });
  });

  it('in the middle of a blob: the same byte is asked for when it is back (N6)', async () => {
    const first = await scripted({ [GET]: [HALF] });
    const { client, clock } = clientFor(first);
    const { port } = first;
    let second: ScriptedRegistry | undefined;
    // Down from the break until the second pause.
    clock.sleep = async () => {
      clock.slept.push(0);
      if (clock.slept.length === 1) await first.close();
      else second ??= await ScriptedRegistry.start({ [GET]: (request) => honest(BLOB.bytes, request) }, { port });
    };
    expect(await collect(client.blob(BLOB))).toEqual(BLOB.bytes);
    expect(second?.requests.map(({ headers }) => headers['range'])).toEqual(['bytes=1500-2999']);
    await client.close();
    await second?.close();
  });
});

it('a TLS connection that is cut without a farewell is a short body (N9)', async () => {
  const ca = new TestCa();
  onTestFinished(() => ca.remove());
  const registry = await scripted(
    { [GET]: atFirst(BLOB.bytes, { ...HALF, ending: 'rst' }) },
    { tls: ca.issue('IP:127.0.0.1') },
  );
  const { client } = clientFor(registry, { environment: { SSL_CERT_FILE: ca.file } });
  expect(await collect(client.blob(BLOB))).toEqual(BLOB.bytes);
  expect(registry.requests).toHaveLength(2);
});

describe('interim answers', () => {
  it('are passed over, however many (N25)', async () => {
    const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n'.repeat(100);
    const registry = await scripted({
      [MANIFEST]: { raw: `${hints}HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{"schemaVersion":2}` },
    });
    expect((await clientFor(registry).client.manifest(TAG)).bytes).toHaveLength(19);
    // The direct way leaves them to the library, which asks again.
    expect(registry.requests).toHaveLength(2);
  });

  it('are never asked for: no request waits for a permission to send (N25)', async () => {
    const registry = await scripted({
      'POST /v2/a/b/blobs/uploads/': { status: 202, headers: { location: '/up' } },
      'PUT /up': { status: 201 },
    });
    await clientFor(registry).client.uploadBlob({ ...BLOB, open: () => BLOB.bytes });
    expect(registry.requests.map(({ headers }) => headers['expect'])).toEqual([undefined, undefined]);
  });
});

it('a kept connection that is closed at the moment of its reuse costs nothing (N24, N54)', async () => {
  const OK = { body: '{"schemaVersion":2}' };
  const registry = await scripted({ [MANIFEST]: [OK, { drop: true }, OK] });
  const { client, clock } = clientFor(registry);
  await client.manifest(TAG);
  await client.manifest(TAG);
  expect(registry.requests).toHaveLength(3);
  expect(registry.connections).toBe(2);
  expect(clock.slept).toEqual([]);
});

it('a machine that slept for two hours gets a new token and goes on where it was (N55, P25)', async () => {
  const tokens = await tokenService();
  const registry = await scripted();
  registry.on(GET, (request) => {
    const token = `Bearer token-${tokens.requests.length}`;
    if (request.headers['authorization'] !== token) return tokens.challenge('repository:a/b:pull');
    return tokens.requests.length === 1 ? { ...HALF, ending: 'stall' } : honest(BLOB.bytes, request);
  });
  const { client, clock } = clientFor(registry, { credentials: password(), change: { bodyIdleMs: 50 } });
  const bytes = client.blob(BLOB, {
    onBytes: () => {
      if (registry.requests.length > 2) return;
      clock.elapsed += 7_200_000;
      // And the wall clock woke up in 1970.
      clock.wall = -clock.elapsed;
    },
  });
  expect(await collect(bytes)).toEqual(BLOB.bytes);
  expect(tokens.requests).toHaveLength(2);
  expect(registry.requests.at(-1)?.headers['range']).toBe('bytes=1500-2999');
});

it('a host that moved is found at its new address by the next connection (N56)', async () => {
  const before = await scripted({ [MANIFEST]: { body: 'old', headers: { connection: 'close' } } });
  const now = await scripted({ [MANIFEST]: { body: 'new' } }, { listen: '127.0.0.2', port: before.port });
  const addresses = ['127.0.0.1', '127.0.0.2'];
  let asked = 0;
  const { send, close } = httpTransport({
    userAgent: 'test',
    environment: {},
    limits,
    lookup: (_host, _options, callback) => {
      callback(null, [{ address: addresses[asked] ?? '', family: 4 }]);
      asked += 1;
    },
  });
  after(close);
  const url = new URL(`http://registry.example:${before.port}/v2/a/b/manifests/latest`);
  const ask = async () => {
    const response = await send({ method: 'GET', url, headers: {}, access: { action: 'pull' }, idempotent: true });
    return (await collect(response.body)).toString();
  };
  expect([await ask(), await ask()]).toEqual(['old', 'new']);
  expect(now.requests).toHaveLength(1);
});
