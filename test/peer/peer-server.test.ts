import { closeSync, cpSync, openSync, readFileSync, renameSync, statSync, utimesSync, writeSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import { connect as connectTcp, createServer, type AddressInfo } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import { plainBackend } from '../../src/codec/lz4-backend.ts';
import { Digest } from '../../src/names/digest.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import { ContentDecoder } from '../../src/peering/content-stream.ts';
import { fleetKey } from '../../src/peering/fleet-key.ts';
import { PeerClient } from '../../src/peering/peer-client.ts';
import { PeerFailure } from '../../src/peering/peer-failure.ts';
import type { PeerRequest } from '../../src/peer/peer-handler.ts';
import { type Peer, type PeerOptions, servePeers } from '../../src/peer/peer-server.ts';
import type { Session } from '../../src/session/session.ts';
import { pull } from '../../src/transfer/pull/pull.ts';
import { freshSession } from '../support/home.ts';
import { TOKEN } from '../support/played-peer.ts';
import { makePrivateCa } from '../support/real-certificates.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { startStaticRegistry } from '../support/static-registry.ts';
import { sha256, tinyImage } from '../support/tart-image.ts';

const KIB = 1024;
const CHUNKS = [Buffer.alloc(4096 * KIB, 'first chunk '), Buffer.alloc(256 * KIB, 'second chunk ')];
const CONTENTS = CHUNKS.map(sha256);
const [FIRST = '', SECOND = ''] = CONTENTS;
const ABSENT = sha256(Buffer.from('no host has this'));
const image = tinyImage({ chunks: CHUNKS });

interface Host {
  readonly session: Session;
  readonly peer: Peer;
  readonly directory: string;
  readonly name: RemoteName;
  readonly requests: PeerRequest[];
  readonly refused: string[];
}

/** A host that has the image and answers. */
async function host(options: Partial<PeerOptions> = {}, platform: NodeJS.Platform = process.platform): Promise<Host> {
  const registry = await startStaticRegistry({ latest: image });
  const session = freshSession({ platform });
  const name = RemoteName.parse(`${registry.address}/org/vm:latest`);
  await pull(session, name);
  const requests: PeerRequest[] = [];
  const refused: string[] = [];
  const peer = await servePeers(session, {
    key: fleetKey(TOKEN, 'test'),
    listen: { host: '127.0.0.1', port: 0 },
    onRequest: (request) => requests.push(request),
    onRefused: (remote) => refused.push(remote),
    ...options,
  });
  onTestFinished(async () => peer.close());
  return {
    session,
    peer,
    name,
    requests,
    refused,
    directory: session.images.directoryOf(name, Digest.parse(image.digest)),
  };
}

function clientOf({ peer }: Host, token = TOKEN): PeerClient {
  const client = new PeerClient(peer.address, fleetKey(token, 'test'));
  onTestFinished(() => client.close());
  return client;
}

const signal = new AbortController().signal;

async function take(client: PeerClient, content: string, size: number, from = 0): Promise<Buffer> {
  const parts: Buffer[] = [];
  const decoder = new ContentDecoder({
    expectedBytes: size - from,
    workspace: plainBackend.decoderWorkspace(),
    onOutput: (bytes) => parts.push(Buffer.from(bytes)),
  });
  const watch = { signal, delivered: () => decoder.delivered };
  for await (const piece of client.content({ content, size, from }, watch)) decoder.push(piece);
  expect(decoder.isWhole).toBe(true);
  return Buffer.concat(parts);
}

async function faultOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  return error instanceof PeerFailure ? error.fault : String(error);
}

describe('a host that answers peers', () => {
  it('says which of many contents it has, and gives them from any byte on', async () => {
    const client = clientOf(await host());
    expect(await client.ask([ABSENT, SECOND, FIRST], signal)).toEqual([SECOND, FIRST]);
    expect((await take(client, FIRST, CHUNKS[0]?.length ?? 0)).equals(CHUNKS[0] ?? Buffer.alloc(0))).toBe(true);
    const rest = await take(client, FIRST, CHUNKS[0]?.length ?? 0, 1_000_001);
    expect(rest.equals(CHUNKS[0]?.subarray(1_000_001) ?? Buffer.alloc(0))).toBe(true);
    expect(await faultOf(take(client, ABSENT, 4096))).toBe('absent');
    expect(await faultOf(take(client, SECOND, 512 * KIB, 256 * KIB))).toBe('absent');
  });

  it('has what is pulled while it runs, and what is deleted no more', async () => {
    const { session, peer, name } = await host();
    const client = clientOf({ session, peer, name } as Host);
    expect(await client.ask([FIRST], signal)).toEqual([FIRST]);
    await session.images.delete(name);
    await expect.poll(async () => client.ask([FIRST], signal)).toEqual([]);
    expect(await faultOf(take(client, FIRST, CHUNKS[0]?.length ?? 0))).toBe('absent');
  });

  it.each(['linux', 'darwin'] as const)(
    'never gives what was changed since it was verified, with times set back or not (S84), on %s',
    async (platform) => {
      const { directory, requests, ...rest } = await host({}, platform);
      const client = clientOf({ directory, requests, ...rest });
      expect((await take(client, SECOND, 256 * KIB)).length).toBe(256 * KIB);
      const disk = `${directory}/disk.img`;
      const { atime, mtime } = statSync(disk);
      const fd = openSync(disk, 'r+');
      writeSync(fd, 'secret of a VM', 4096 * KIB + 10);
      closeSync(fd);
      utimesSync(disk, atime, mtime);
      expect(await faultOf(take(client, SECOND, 256 * KIB))).toBe('absent');
      // It is told of when what was held is given back, which is after the answer.
      await expect.poll(() => requests.at(-1)).toMatchObject({ status: 404, bytes: 0 });
      // The rest of the disk is as it was.
      expect((await take(client, FIRST, 4096 * KIB)).length).toBe(4096 * KIB);
    },
  );

  it('keeps an image from being deleted while it is read, and goes on reading', async () => {
    const { session, name, ...rest } = await host({});
    const client = clientOf({ session, name, ...rest });
    const stream = client.content(
      { content: FIRST, size: 4096 * KIB, from: 0 },
      { signal, delivered: () => 4096 * KIB },
    );
    const first = await stream.next();
    expect(first.done).toBe(false);
    await stream.return();
    await expect.poll(async () => session.images.delete(name).then(() => 'deleted', String)).toBe('deleted');
  });

  it('gives no content of local VMs, whose disks have secrets of their own', async () => {
    const { session, ...rest } = await host();
    const client = clientOf({ session, ...rest });
    // As a clone keeps the manifest of its image.
    const vm = `${session.home.root}/vms/mine`;
    cpSync(rest.directory, vm, { recursive: true });
    renameSync(`${vm}/manifest.json`, `${vm}/.base-manifest.json`);
    await session.images.delete(rest.name);
    await expect.poll(async () => client.ask([FIRST, SECOND], signal)).toEqual([]);
  });
});

describe('without the token', () => {
  it('there is no byte, whatever is asked, and no word about what is here (S83)', async () => {
    const stranger = await host();
    const client = clientOf(stranger, 'e'.repeat(64));
    const answers = await Promise.all([
      faultOf(client.ask([FIRST], signal)),
      faultOf(client.ask([ABSENT], signal)),
      faultOf(take(client, FIRST, 4096)),
      faultOf(take(client, ABSENT, 4096)),
    ]);
    expect(answers).toEqual(['no-fleet-key', 'no-fleet-key', 'no-fleet-key', 'no-fleet-key']);
    expect(stranger.requests).toEqual([]);
    await expect.poll(() => stranger.refused.length).toBe(4);
  });

  it('what was recorded of a connection shows neither token nor digest, and sent again gets no answer (S83)', async () => {
    const answering = await host();
    const recorded: Buffer[] = [];
    const relay = createServer((socket) => {
      const onwards = connectTcp(answering.peer.address.port, '127.0.0.1');
      socket.on('data', (piece) => recorded.push(piece));
      socket.on('error', () => undefined);
      onwards.on('error', () => undefined);
      socket.pipe(onwards).pipe(socket);
    });
    await new Promise<void>((resolve) => {
      relay.listen(0, '127.0.0.1', resolve);
    });
    onTestFinished(() => void relay.close());
    const { port } = relay.address() as AddressInfo;
    const client = new PeerClient({ host: '127.0.0.1', port }, fleetKey(TOKEN, 'test'));
    expect(await client.ask([FIRST], signal)).toEqual([FIRST]);
    client.close();
    const bytes = Buffer.concat(recorded);
    expect(bytes.includes(TOKEN)).toBe(false);
    expect(bytes.includes(FIRST)).toBe(false);
    expect(bytes.includes(Buffer.from(fleetKey(TOKEN, 'test')))).toBe(false);
    const before = answering.requests.length;
    await bytesOf(connectTcp(answering.peer.address.port, '127.0.0.1'), bytes);
    expect(answering.requests).toHaveLength(before);
  });

  it('plain HTTP, TLS without a key and TLS 1.2 get nothing either (S83)', async () => {
    const { peer, requests } = await host();
    const { port } = peer.address;
    const plain = await bytesOf(connectTcp(port, '127.0.0.1'), `GET /content/${FIRST} HTTP/1.1\r\nhost: a\r\n\r\n`);
    expect(plain.includes('HTTP/1.1 200')).toBe(false);
    for (const options of [{}, { maxVersion: 'TLSv1.2' }] as const) {
      const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
      const failed = await new Promise<string>((resolve) => {
        socket.on('error', (error: Error) => resolve(error.message));
        socket.on('secureConnect', () => resolve('connected'));
      });
      expect(failed).not.toBe('connected');
    }
    expect(requests).toEqual([]);
  });

  it('twenty tries cost a client its connections for a minute, with the token or without (S85)', async () => {
    const guarded = await host();
    for (let tries = 0; tries < 20; tries += 1) {
      await faultOf(clientOf(guarded, `${tries}`.padStart(64, 'x')).ask([FIRST], signal));
    }
    await expect.poll(() => guarded.refused).toHaveLength(20);
    expect(await faultOf(clientOf(guarded, 'y'.repeat(64)).ask([FIRST], signal))).toBe('unreachable');
    expect(guarded.refused).toHaveLength(20);
  });

  it('a server that is no peer is not believed, whoever signed its certificate, and learns no digest (S86)', async () => {
    const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
    onTestFinished(() => {
      if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
      else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before;
    });
    const cleanup = new Cleanup();
    onTestFinished(async () => cleanup.run());
    const { server: pair } = makePrivateCa(cleanup);
    const heard: string[] = [];
    const server = createTlsServer(
      { cert: readFileSync(pair.certificate), key: readFileSync(pair.key) },
      (request, response) => {
        heard.push(request.url ?? '');
        response.end('{"have":[0]}');
      },
    );
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    onTestFinished(() => void server.close());
    const address = { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
    const client = new PeerClient(address, fleetKey(TOKEN, 'test'));
    onTestFinished(() => client.close());
    expect(await faultOf(client.ask([FIRST], signal))).toMatch(/no-fleet-key|unreachable/);
    expect(heard).toEqual([]);
  });
});

describe('a client with the token', () => {
  it.each<[string, string, number]>([
    ['GET', '/', 404],
    ['GET', '/content', 405],
    ['PUT', `/content/${FIRST}`, 405],
    ['HEAD', `/content/${FIRST}`, 200],
    ['HEAD', `/content/${ABSENT}`, 404],
    ['GET', '/content/../../../etc/passwd', 404],
    ['GET', '/content/sha256:..%2f..', 404],
    ['GET', `/content/${FIRST}?from=-1`, 400],
    ['GET', `/content/${FIRST}?from=99999999999999999999`, 400],
    ['GET', `/content/${FIRST}?from=4194304`, 416],
    ['POST', '/content', 400],
  ])('gets for %s %s the answer %i and no content', async (method, target, status) => {
    const answering = await host();
    expect(await statusOf(answering, method, target)).toBe(status);
    await expect.poll(() => answering.requests.at(-1)).toMatchObject({ method, status });
  });

  it('cannot ask for more than fits a question, nor for one that is none (S85)', async () => {
    const answering = await host();
    expect(await statusOf(answering, 'POST', '/content', Buffer.alloc(1024 * KIB + 1, ' '))).toBe(413);
    const many = JSON.stringify({ contents: Array.from({ length: 8193 }, () => 'a') });
    expect(await statusOf(answering, 'POST', '/content', Buffer.from(many))).toBe(400);
    expect(await statusOf(answering, 'POST', '/content', Buffer.from('{"contents":[1]}'))).toBe(400);
  });

  it('is not taken for a host that has gone when it closes a kept connection', async () => {
    const { session, ...first } = await host();
    const client = clientOf({ session, ...first });
    expect(await client.ask([FIRST], signal)).toEqual([FIRST]);
    await first.peer.close();
    const listen = { host: '127.0.0.1', port: first.peer.address.port };
    const again = await servePeers(session, { key: fleetKey(TOKEN, 'test'), listen });
    onTestFinished(async () => again.close());
    expect(await client.ask([FIRST], signal)).toEqual([FIRST]);
  });
});

async function statusOf(answering: Host, method: string, target: string, body?: Buffer): Promise<number> {
  const { request } = await import('node:https');
  const { askingChannel } = await import('../../src/peering/channel.ts');
  const { host: hostname, port } = answering.peer.address;
  const options = {
    ...askingChannel(fleetKey(TOKEN, 'test')),
    host: hostname,
    port,
    method,
    path: target,
    agent: false,
  };
  return new Promise((resolve, reject) => {
    const sent = request(options, (response) => {
      response.resume();
      response.on('close', () => resolve(response.statusCode ?? 0));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

async function bytesOf(socket: ReturnType<typeof connectTcp>, send: string | Buffer): Promise<string> {
  const pieces: Buffer[] = [];
  socket.on('data', (piece) => pieces.push(piece));
  socket.on('error', () => undefined);
  socket.write(send);
  await new Promise<void>((resolve) => {
    socket.once('close', () => resolve());
  });
  return Buffer.concat(pieces).toString('latin1');
}

describe('the fleet token', () => {
  it.each([
    ['too short', 'secret', 'has 6 characters'],
    ['empty', ' \n', 'is no line'],
    ['two lines', `${TOKEN}\n${TOKEN}`, 'is no line'],
    ['with letters beyond ASCII', `${TOKEN}ü`, 'is no line'],
  ])('that is %s is refused, without telling it', (_, token, why) => {
    expect(() => fleetKey(token, 'the test')).toThrow(`the fleet token of the test ${why}`);
  });

  it('may have white space around it, as files do', () => {
    expect(fleetKey(`${TOKEN}\n`, 'file')).toEqual(fleetKey(TOKEN, 'variable'));
  });
});
