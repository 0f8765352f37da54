import { readFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { RemoteName } from '../../../src/names/remote-name.ts';
import { fleetKey } from '../../../src/peering/fleet-key.ts';
import { servePeers } from '../../../src/peer/peer-server.ts';
import type { TransferEvent } from '../../../src/session/progress.ts';
import type { Session, SessionOptions } from '../../../src/session/session.ts';
import { pull } from '../../../src/transfer/pull/pull.ts';
import { freshSession } from '../../support/home.ts';
import { type Answering, beginStream, head, playPeer, record, searchOf, TOKEN } from '../../support/played-peer.ts';
import { type StaticRegistry, startStaticRegistry } from '../../support/static-registry.ts';
import { sha256, tinyImage } from '../../support/tart-image.ts';

const KIB = 1024;

/** Bytes of which no two chunks look alike. */
function noise(length: number, seed: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, at) => (Math.imul(at + 1, 2654435761 + seed) >>> 13) & 0xff));
}

const CHUNKS = [1, 2, 3, 4, 5, 6].map((seed) => noise(128 * KIB, seed));
const image = tinyImage({ chunks: CHUNKS });
const BY_DIGEST = new Map(CHUNKS.map((chunk) => [sha256(chunk), chunk]));
/** Of the chunks; config and NVRAM are no contents. */
const CHUNK_BLOBS = [...image.blobs].slice(3).map(([digest]) => digest);

interface World {
  readonly registry: StaticRegistry;
  readonly session: Session;
  readonly events: TransferEvent[];
  /** Blobs of chunks that the registry was asked for. */
  readonly fetched: () => string[];
}

async function worldWith(peers: SessionOptions['peers']): Promise<World> {
  const registry = await startStaticRegistry({ latest: image });
  const events: TransferEvent[] = [];
  const session = freshSession({ peers, onEvent: (event) => events.push(event), processors: 2 });
  const fetched = (): string[] =>
    registry.requests.flatMap((line) =>
      CHUNK_BLOBS.filter((digest) => line.includes(`GET /v2/org/vm/blobs/${digest}`)),
    );
  return { registry, session, events, fetched };
}

async function pullIn({ registry, session }: World) {
  const outcome = await pull(session, RemoteName.parse(`${registry.address}/org/vm:latest`));
  const directory = `${session.home.imagesDirectory}/${registry.address.replace(':', '%3A')}/org/vm/${image.digest}`;
  expect(readFileSync(`${directory}/disk.img`).equals(image.disk)).toBe(true);
  return {
    ...outcome,
    origin: JSON.parse(readFileSync(`${directory}/.origin.json`, 'utf8')) as Record<string, unknown>,
  };
}

/** The address of a real peer whose home has the image. */
async function hostWithImage() {
  const world = await worldWith(undefined);
  await pullIn(world);
  const peer = await servePeers(world.session, {
    key: fleetKey(TOKEN, 'test'),
    listen: { host: '127.0.0.1', port: 0 },
  });
  onTestFinished(async () => peer.close());
  return { ...peer.address, world, peer };
}

const honest: Answering = (response, content, from) => {
  beginStream(response);
  response.end(record(0, (BY_DIGEST.get(content) ?? Buffer.alloc(0)).subarray(from)));
};

function dropped(world: World): string[] {
  return world.events.flatMap((event) => (event.kind === 'peer-dropped' ? [event.fault] : []));
}

describe('pulling where a peer has the image', () => {
  it('takes every chunk from the peer, and says so', async () => {
    const host = await hostWithImage();
    const world = await worldWith(searchOf([host]));
    const outcome = await pullIn(world);
    expect(world.fetched()).toEqual([]);
    expect(outcome.peerBytes).toBeGreaterThan(KIB);
    expect(outcome.fetchedBytes).toBe(image.config.length + image.nvram.length);
    expect(outcome.origin).toMatchObject({
      via: 'pull',
      registry: world.registry.address,
      peerBytes: outcome.peerBytes,
    });
    // What was never decoded here is not taken for what the manifest says of it.
    expect(outcome.origin['unproven']).toHaveLength(6);
    expect(world.events).toContainEqual(expect.objectContaining({ kind: 'peer-answered', has: 6, of: 6 }));
    const { bytesTotal } = world.events.find((event) => event.kind === 'started') ?? {};
    const counted = world.events.reduce((sum, event) => sum + (event.kind === 'bytes' ? event.count : 0), 0);
    expect(counted).toBe(bytesTotal);
  });

  it('takes what the peer has, and the rest from the registry', async () => {
    const host = await hostWithImage();
    const other = tinyImage({ chunks: [...CHUNKS.slice(0, 3), noise(128 * KIB, 7)] });
    const registry = await startStaticRegistry({ latest: other });
    const session = freshSession({ peers: searchOf([host]) });
    await pull(session, RemoteName.parse(`${registry.address}/org/vm:latest`));
    const blobs = registry.requests.filter((line) => line.includes('/blobs/'));
    // Config, NVRAM, and the one chunk that no host has.
    expect(blobs).toHaveLength(3);
  });

  it('shares the work among the peers that have it', async () => {
    const peers = [await playPeer(honest), await playPeer(honest), await playPeer(honest)];
    const world = await worldWith(searchOf(peers.map(({ address }) => address)));
    await pullIn(world);
    expect(peers.map(({ asked }) => asked.length)).toEqual([2, 2, 2]);
    expect(world.fetched()).toEqual([]);
  });

  it('asks none where none is named, and none for an image that is here', async () => {
    const peer = await playPeer(honest);
    const world = await worldWith(undefined);
    await pullIn(world);
    expect(world.fetched()).toHaveLength(6);
    const again = freshSession({ home: world.session.home, peers: searchOf([peer.address]) });
    expect(await pull(again, RemoteName.parse(`${world.registry.address}/org/vm:latest`))).toMatchObject({
      peerBytes: 0,
    });
    expect(peer.asked).toEqual([]);
  });

  it('goes on with the next peer where one has ended, at the very byte', async () => {
    const half = await playPeer((response, content) => {
      beginStream(response);
      response.write(record(0, (BY_DIGEST.get(content) ?? Buffer.alloc(0)).subarray(0, 64 * KIB)), () => {
        response.socket?.destroy();
      });
    });
    const whole = await playPeer(honest);
    const world = await worldWith(searchOf([half.address, whole.address]));
    await pullIn(world);
    expect(world.fetched()).toEqual([]);
    expect(dropped(world)).toEqual(['unreachable']);
    expect(whole.asked.filter((asked) => asked.endsWith(` ${64 * KIB}`)).length).toBeGreaterThan(0);
  });
});

/** Each gives something else than the content, or nothing, or nothing soon. */
const HOSTILE: readonly [string, Answering, string][] = [
  ['sends other bytes', (response) => streamOf(response, record(0, noise(128 * KIB, 99))), 'wrong-content'],
  ['sends bytes without end', endless, 'wrong-content'],
  ['claims gigabytes of zeros', (response) => streamOf(response, head(0xffff_ffff, 0, 0)), 'wrong-content'],
  ['claims a block of gigabytes', (response) => streamOf(response, head(0, 4096, 0xffff_ffff)), 'wrong-content'],
  ['sends no LZ4', (response) => streamOf(response, Buffer.concat([head(0, 4096, 64), noise(64, 3)])), 'wrong-content'],
  ['stops after a while', (response) => openStream(response, record(0, noise(4096, 5))), 'stalled'],
  ['says nothing', () => undefined, 'stalled'],
  ['drips', drip, 'slow'],
  ['hangs up', hangUp, 'unreachable'],
  ['ends early', (response) => streamOf(response, record(0, noise(4096, 5))), 'unreachable'],
  ['answers with a web page', (response) => endWith(response, 200, '<html>'), 'not-understood'],
  ['answers with an error', (response) => endWith(response, 500, ''), 'not-understood'],
];

function streamOf(response: ServerResponse, bytes: Uint8Array): void {
  beginStream(response);
  response.end(bytes);
}

function openStream(response: ServerResponse, bytes: Uint8Array): void {
  beginStream(response);
  response.write(bytes);
}

function hangUp(response: ServerResponse): void {
  response.socket?.destroy();
}

function endWith(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status).end(body);
}

/** A byte often enough to be no stall. */
function drip(response: ServerResponse): void {
  beginStream(response);
  const bytes = record(0, noise(4096, 5));
  let at = 0;
  const dripping = setInterval(() => {
    response.write(bytes.subarray(at, at + 1));
    at += 1;
  }, 100);
  response.once('close', () => clearInterval(dripping));
}

function endless(response: ServerResponse): void {
  beginStream(response);
  const more = (): void => {
    while (!response.destroyed && response.write(record(0, noise(4096, 1)))) continue;
    response.once('drain', more);
  };
  more();
}

describe('a peer that has the token and is hostile or broken (S82)', () => {
  it.each(HOSTILE)(
    '%s: the image is the right one, from the registry, and the peer is dropped',
    async (_, answering, fault) => {
      const peer = await playPeer(answering);
      const world = await worldWith(searchOf([peer.address]));
      const outcome = await pullIn(world);
      expect(outcome).toMatchObject({ status: 'pulled', peerBytes: 0 });
      expect(dropped(world)).toEqual([fault]);
      expect([...new Set(world.fetched())]).toHaveLength(6);
      // Chunks that were under way when it was found out, and none after that.
      expect(peer.asked.length).toBeLessThanOrEqual(4);
      expect(outcome.origin).not.toHaveProperty('peerBytes');
      const { bytesTotal } = world.events.find((event) => event.kind === 'started') ?? {};
      const counted = world.events.reduce((sum, event) => sum + (event.kind === 'bytes' ? event.count : 0), 0);
      expect(counted).toBe(bytesTotal);
    },
  );

  it.each([503, 404])('answers %i to everything: it is left alone, and the registry gives all', async (status) => {
    const peer = await playPeer((response) => endWith(response, status, ''));
    const world = await worldWith(searchOf([peer.address]));
    expect(await pullIn(world)).toMatchObject({ status: 'pulled', peerBytes: 0 });
    expect(world.fetched()).toHaveLength(6);
    expect(dropped(world)).toEqual([]);
    expect(peer.asked.length).toBeLessThanOrEqual(4);
  });

  it('costs no honest peer its place: what is wrong of one comes from the registry or another', async () => {
    const liar = await playPeer((response) => streamOf(response, record(0, noise(128 * KIB, 99))));
    const good = await playPeer(honest);
    const world = await worldWith(searchOf([liar.address, good.address]));
    await pullIn(world);
    expect(dropped(world)).toEqual(['wrong-content']);
    expect(good.asked.length).toBeGreaterThanOrEqual(3);
  });
});

describe('a server that lists peers', () => {
  async function listing(body: string): Promise<URL> {
    const server = createServer((request, response) => response.end(request.url === '/site/peers' ? body : ''));
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    onTestFinished(() => void server.close());
    return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/site`);
  }

  it('leads to them, and to nothing that is no address', async () => {
    const peer = await playPeer(honest);
    const peers = [`127.0.0.1:${peer.address.port}`, 'https://evil/', '../../x', '127.0.0.1:1'];
    const list = await listing(JSON.stringify({ schema: 'tartlet.peers/v1', peers }));
    const world = await worldWith(async () => ({ key: fleetKey(TOKEN, 'test'), lists: [list] }));
    await pullIn(world);
    expect(world.fetched()).toEqual([]);
    expect(dropped(world)).toEqual(['unreachable']);
  });

  it.each(['<html>', '{"schema":"tartlet.peers/v2","peers":[]}', `[${'1,'.repeat(70_000)}1]`])(
    'and does not keep to that is told, and the registry gives all (%#)',
    async (body) => {
      const list = await listing(body);
      const world = await worldWith(async () => ({ key: fleetKey(TOKEN, 'test'), lists: [list] }));
      await pullIn(world);
      expect(world.fetched()).toHaveLength(6);
      expect(world.events).toContainEqual(
        expect.objectContaining({
          kind: 'note',
          text: expect.stringContaining('no list of peers from http://') as string,
        }),
      );
    },
  );
});

describe('a peer that cannot be asked', () => {
  it('has another token: it is told nothing, and the registry gives all', async () => {
    const stranger = await playPeer(honest, 'f'.repeat(64));
    const world = await worldWith(searchOf([stranger.address]));
    expect(await pullIn(world)).toMatchObject({ peerBytes: 0 });
    expect(dropped(world)).toEqual(['no-fleet-key']);
    expect(stranger.asked).toEqual([]);
  });

  it('is not there: the registry gives all', async () => {
    const world = await worldWith(searchOf([{ host: '127.0.0.1', port: 1 }]));
    expect(await pullIn(world)).toMatchObject({ peerBytes: 0 });
    expect(dropped(world)).toEqual(['unreachable']);
  });
});
