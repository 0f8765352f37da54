import { closeSync, openSync, writeSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { expect, it, onTestFinished } from 'vitest';
import type { ImageDevice } from '../../../src/lazy-disk/image-device.ts';
import { servePeers } from '../../../src/peer/peer-server.ts';
import { fleetKey } from '../../../src/peering/fleet-key.ts';
import { pull } from '../../../src/transfer/pull/pull.ts';
import { noise, prose } from '../../codec/disk-data.ts';
import { eventually } from '../../support/held-pull.ts';
import { freshSession } from '../../support/home.ts';
import { playPeer, searchOf, TOKEN } from '../../support/played-peer.ts';
import { piecedImage } from '../../support/pieced-image.ts';
import { PiecedWorld } from '../../support/pieced-world.ts';
import { send } from '../../support/static-registry.ts';
import { sha256, type TinyImage } from '../../support/tart-image.ts';

const MIB = 1024 * 1024;
const SIGNAL = new AbortController().signal;

/** A layer of noise with zeros in its middle; one of text that ends within a MiB; one of noise, which is short. */
const CHUNKS = [
  Buffer.concat([noise(5 * MIB, 1), Buffer.alloc(3 * MIB), noise(4 * MIB, 2)]),
  prose(3 * MIB + 70_001, 3),
  noise(MIB / 2, 4),
];
const image = await piecedImage(CHUNKS);
const [LAYER = 0, SECOND = 0] = CHUNKS.map(({ length }) => length);

async function bytesOf(device: ImageDevice, offset: number, length: number): Promise<Buffer> {
  await device.ready({ offset, length }, SIGNAL);
  return Buffer.from(await device.read({ offset, length }));
}

function ofDisk(offset: number, length: number, disk: Uint8Array = image.disk): Buffer {
  return Buffer.from(disk.subarray(offset, offset + length));
}

/** Answers with other bytes where a piece is. */
function damaging(of: TinyImage, digest: string, at: number) {
  return (request: IncomingMessage, response: ServerResponse): boolean => {
    if (request.url?.endsWith(digest) !== true) return false;
    const blob = Buffer.from(of.blobs.get(digest) ?? []);
    blob.writeUInt8(blob.readUInt8(at) ^ 1, at);
    send(request, response, blob, 'application/octet-stream');
    return true;
  };
}

it('fetches the MiB that a guest reads of a layer, and nothing beside it', async () => {
  const world = await PiecedWorld.of(image);
  const pulling = world.guest('waited-for');
  const device = world.device();
  expect((await bytesOf(device, 2 * MIB + 5, 10)).equals(ofDisk(2 * MIB + 5, 10))).toBe(true);
  expect(world.asked()).toEqual([world.range(0, 2)]);
  expect((await bytesOf(device, 9 * MIB - 1, 2)).equals(ofDisk(9 * MIB - 1, 2))).toBe(true);
  expect(world.asked().slice(1)).toEqual([world.range(0, 8, 9)]);
  // The end of one layer, which is shorter than a MiB, and the beginning of the next.
  const end = LAYER + SECOND;
  expect((await bytesOf(device, end - 3, 6)).equals(ofDisk(end - 3, 6))).toBe(true);
  expect(world.asked().slice(2).toSorted()).toEqual([world.range(1, 3), world.range(2, 0)]);
  await world.stop(pulling);
});

it('gives a guest zeros without any network', async () => {
  const world = await PiecedWorld.of(image);
  const pulling = world.guest('waited-for');
  const device = world.device();
  await bytesOf(device, 0, 1);
  const before = world.asked();
  expect((await bytesOf(device, 5 * MIB, 3 * MIB)).equals(Buffer.alloc(3 * MIB))).toBe(true);
  expect(world.asked()).toEqual(before);
  await world.stop(pulling);
});

it('brings everything by pieces while a guest waits, each once, and the image is as any other', async () => {
  const world = await PiecedWorld.of(image);
  await world.guest('everything');
  expect((await world.cachedDisk()).equals(image.disk)).toBe(true);
  expect(world.asked()).not.toContain('0 all');
  // Neither zeros nor the ends of the streams.
  expect(world.askedBytes()).toBeLessThan(image.encodedBytes);
  const elsewhere = freshSession();
  await pull(elsewhere, world.name);
  expect(
    world
      .asked()
      .filter((line) => line.endsWith('all'))
      .toSorted(),
  ).toEqual(['0 all', '1 all', '2 all']);
});

it('lets two guests and a pull share what comes', async () => {
  const world = await PiecedWorld.of(image);
  const pulling = [world.guest('everything'), world.guest('everything'), world.pull()];
  const devices = [world.device(), world.device()];
  const wanted = [10 * MIB, LAYER + MIB, MIB, LAYER + SECOND];
  const reads = wanted.flatMap((offset) => devices.map(async (device) => bytesOf(device, offset, 100)));
  const expected = wanted.flatMap((offset) => devices.map(() => ofDisk(offset, 100)));
  expect(await Promise.all(reads)).toEqual(expected);
  await Promise.all(pulling);
  expect((await world.cachedDisk()).equals(image.disk)).toBe(true);
  expect(world.askedBytes()).toBeLessThanOrEqual(image.encodedBytes);
});

it('fetches layers as a whole while no guest waits, without the index', async () => {
  const world = await PiecedWorld.of(image);
  await world.pull();
  expect(world.asked().toSorted()).toEqual(['0 all', '1 all', '2 all']);
  expect(world.registry.requests.join()).not.toContain(sha256(image.index));
});

it('gives a guest that comes to a pull its piece of a layer under way, and of one that has not begun', async () => {
  const world = await PiecedWorld.of(image);
  // The first layer stops in its middle.
  let hold = true;
  world.registry.intercept = (request, response) => {
    const [digest = ''] = image.layers;
    if (!hold || request.url?.endsWith(digest) !== true || request.headers.range !== undefined) return false;
    const blob = Buffer.from(image.blobs.get(digest) ?? []);
    response.writeHead(200, { 'content-length': blob.length });
    response.write(blob.subarray(0, 2.5 * MIB));
    hold = false;
    return true;
  };
  const pulling = world.pull();
  await eventually(() => world.asked()).toEqual(['0 all']);
  const device = world.device();
  expect((await bytesOf(device, LAYER + 10, 10)).equals(ofDisk(LAYER + 10, 10))).toBe(true);
  expect((await bytesOf(device, 10 * MIB, 10)).equals(ofDisk(10 * MIB, 10))).toBe(true);
  expect((await bytesOf(device, MIB, 10)).equals(ofDisk(MIB, 10))).toBe(true);
  await pulling;
  expect((await world.cachedDisk()).equals(image.disk)).toBe(true);
  expect(world.asked()).not.toContain('1 all');
  // What came of the layer as a whole is not fetched again, but for a part of a MiB.
  expect(world.askedBytes() - (image.pieces[0]?.size ?? 0)).toBeLessThan(image.encodedBytes - 1.4 * MIB);
});

it('fetches nothing again that was verified before a kill, and hashes it before it counts', async () => {
  const world = await PiecedWorld.of(image);
  const first = world.guest('waited-for');
  const device = world.device();
  for (const at of [0, 3, 4, 9]) await bytesOf(device, at * MIB, MIB);
  await bytesOf(device, LAYER + 2 * MIB, MIB);
  await world.stop(first);
  await world.guest('everything');
  expect((await world.cachedDisk()).equals(image.disk)).toBe(true);
  const again = [world.range(0, 3), world.range(0, 3, 4), world.range(0, 9), world.range(1, 2)];
  for (const range of again) expect(world.asked()).not.toContain(range);
  expect(world.askedBytes()).toBeLessThan(image.encodedBytes - 4.4 * MIB);
});

it('goes on by pieces where a pull continues what came by pieces, and by layers where it did not', async () => {
  const world = await PiecedWorld.of(image);
  const first = world.guest('waited-for');
  await bytesOf(world.device(), 0, 3 * MIB);
  await world.stop(first);
  await world.pull();
  expect((await world.cachedDisk()).equals(image.disk)).toBe(true);
  expect(world.asked()).not.toContain('0 all');
  expect(world.asked()).toContain('1 all');
  expect(world.askedBytes()).toBeLessThan(image.encodedBytes - 2.9 * MIB);
});

it('fetches a piece again that something else has changed since', async () => {
  const world = await PiecedWorld.of(image);
  const first = world.guest('waited-for');
  await bytesOf(world.device(), 0, 3 * MIB);
  await world.stop(first);
  const staging = `${world.session.home.stagingDirectory}/${image.digest.replace('sha256:', '')}`;
  const disk = openSync(`${staging}/disk.img`, 'r+');
  writeSync(disk, 'changed', MIB + 100);
  closeSync(disk);
  const second = world.guest('waited-for');
  const device = world.device();
  expect((await bytesOf(device, 0, 3 * MIB)).equals(ofDisk(0, 3 * MIB))).toBe(true);
  expect(world.asked()).toEqual([world.range(0, 1)]);
  await world.stop(second);
});

it.each<[string, (index: Uint8Array) => Uint8Array]>([
  ['is of another disk', (index) => Buffer.from(index).fill(7, 24, 56)],
  ['is cut short', (index) => index.subarray(0, -1)],
])('brings layers as a whole where the index %s, and says so once (C36)', async (_what, change) => {
  const other = await piecedImage(CHUNKS.slice(1), change);
  const world = await PiecedWorld.of(other);
  const pulling = world.guest('everything');
  const read = await bytesOf(world.device(), 2 * MIB, 10);
  expect(read.equals(ofDisk(2 * MIB, 10, other.disk))).toBe(true);
  await pulling;
  expect(world.notes().filter((text) => text.includes('piece index'))).toHaveLength(1);
  expect(world.asked().toSorted()).toEqual(['0 all', '1 all']);
});

it('brings layers as a whole where the registry has lost the index, or sends another one (C36)', async () => {
  for (const meddle of ['lost', 'changed'] as const) {
    const world = await PiecedWorld.of(image);
    const digest = sha256(image.index);
    const damaged = damaging(image, digest, 100);
    world.registry.intercept = (request, response) => {
      if (request.url?.endsWith(digest) !== true) return false;
      if (meddle === 'changed') return damaged(request, response);
      response.writeHead(404).end();
      return true;
    };
    await world.guest('everything');
    expect((await world.cachedDisk()).equals(image.disk)).toBe(true);
    expect(world.notes().filter((text) => text.includes('piece index'))).toHaveLength(1);
    expect(world.asked().toSorted()).toEqual(['0 all', '1 all', '2 all']);
  }
});

it('gives a guest nothing of a piece whose digest is wrong, tells the digest, and goes on when it is mended (C37)', async () => {
  const world = await PiecedWorld.of(image);
  const [digest = ''] = image.layers;
  world.registry.intercept = damaging(image, digest, (image.pieces[0]?.piece(3).from ?? 0) + 500);
  const pulling = world.guest('everything');
  const device = world.device();
  const wrong = bytesOf(device, 3 * MIB, 10);
  const wanted = [2, 4, 8, 11];
  const others = await Promise.all(wanted.map(async (at) => bytesOf(device, at * MIB, 10)));
  expect(others).toEqual(wanted.map((at) => ofDisk(at * MIB, 10)));
  await eventually(() => world.troubles.join()).toContain(`piece 3 of the blob ${digest} is damaged`);
  expect(await Promise.race([wrong, Promise.resolve('waits')])).toBe('waits');
  world.registry.intercept = undefined;
  expect((await wrong).equals(ofDisk(3 * MIB, 10))).toBe(true);
  await pulling;
  expect((await world.cachedDisk()).equals(image.disk)).toBe(true);
  expect(world.troubles).toHaveLength(1);
});

it('takes a piece that a mirror has damaged from the registry, and no other piece again (C37)', async () => {
  const { world, mirror } = await PiecedWorld.mirrored(image);
  const [digest = ''] = image.layers;
  mirror.intercept = damaging(image, digest, (image.pieces[0]?.piece(9).from ?? 0) + 500);
  const pulling = world.guest('waited-for');
  const device = world.device();
  expect((await bytesOf(device, 8 * MIB, 3 * MIB)).equals(ofDisk(8 * MIB, 3 * MIB))).toBe(true);
  expect(world.asked()).toEqual([world.range(0, 9, 10)]);
  expect(world.troubles).toEqual([]);
  await world.stop(pulling);
});

it('takes layers that nothing waits for from a peer, as a whole', async () => {
  const host = await PiecedWorld.of(image);
  await host.pull();
  const key = fleetKey(TOKEN, 'test');
  const peer = await servePeers(host.session, { key, listen: { host: '127.0.0.1', port: 0 } });
  onTestFinished(async () => peer.close());
  const world = await PiecedWorld.of(image, { peers: searchOf([peer.address]) });
  await world.guest('everything');
  expect((await world.cachedDisk()).equals(image.disk)).toBe(true);
  expect(world.asked()).toEqual([]);
});

it('takes what a guest waits for of a layer from the registry, where a peer has all of it', async () => {
  const peer = await playPeer(() => undefined);
  const world = await PiecedWorld.of(image, { peers: searchOf([peer.address]) });
  const pulling = world.guest('everything');
  await eventually(() => peer.asked.length).toBeGreaterThan(0);
  expect((await bytesOf(world.device(), 2 * MIB, 10)).equals(ofDisk(2 * MIB, 10))).toBe(true);
  const asked = world.asked();
  expect(asked).toContain(world.range(0, 2));
  expect(asked.filter((line) => line.endsWith('all'))).toEqual([]);
  await world.stop(pulling);
});
