import { existsSync, readFileSync, writeFileSync, readdirSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createRegistry, type Registry } from '../../src/entry/server.ts';
import {
  type NotLazy,
  openTartlet,
  type PeerRequest,
  type Tartlet,
  type TransferEvent,
  type TransferProgress,
} from '../../src/index.ts';
import { RemoteName } from '../../src/entry/names.ts';
import { temporaryDirectory } from '../support/directory.ts';

const MIB = 1024 ** 2;

let registry: Registry;
let repository: string;
let tartlet: Tartlet;
let home: string;

beforeEach(async () => {
  registry = createRegistry({ dataDirectory: `${temporaryDirectory()}/data` });
  const { address, port } = await registry.listen();
  repository = `${address}:${port}/linux/tiny`;
  home = `${temporaryDirectory()}/home`;
  tartlet = openTartlet({ home, environment: {} });
});

afterEach(async () => {
  await tartlet.close();
  await registry.close();
});

/** A VM with 8 MiB of disk, of which the first and the last MiB are written. @returns the disk. */
async function makeVm(name: string): Promise<Buffer> {
  await tartlet.create(name, { diskBytes: 8 * MIB, arch: 'amd64' });
  const disk = Buffer.alloc(8 * MIB);
  randomBytes(MIB).copy(disk);
  randomBytes(MIB).copy(disk, 7 * MIB);
  writeFileSync(`${home}/vms/${name}/disk.img`, disk);
  return disk;
}

it('does what the command does: create, push, pull, clone, list, inspect, delete', async () => {
  const disk = await makeVm('made');
  const [pushed] = await tartlet.push('made', [`${repository}:1`, RemoteName.parse(`${repository}:2`)]);
  expect(pushed?.names.map(String)).toEqual([`${repository}:1`, `${repository}:2`]);

  await using other = openTartlet({ home: `${temporaryDirectory()}/other`, environment: {} });
  const pulled = await other.pull(`${repository}:1`);
  expect(pulled).toMatchObject({ status: 'pulled' });
  await other.clone(`${repository}:1`, 'job');
  expect(readFileSync(`${other.home}/vms/job/disk.img`).equals(disk)).toBe(true);
  expect((await other.list()).map(({ source, name }) => [source, name])).toEqual([
    ['local', 'job'],
    ['OCI', `${repository}:1`],
    ['OCI', `${repository}@${pulled.digest.toString()}`],
  ]);
  expect(await other.inspect(`${repository}:1`)).toMatchObject({ kind: 'cached', digest: pulled.digest.toString() });
  expect((await other.fqn(`${repository}:1`)).toString()).toBe(`${repository}@${pulled.digest.toString()}`);
  expect((await other.delete('job')).kind).toBe('vm');
  expect(await other.list({ source: 'local' })).toEqual([]);
});

it('makes a VM whose disk arrives when it runs, where that is asked for, and says which it is', async () => {
  await makeVm('made');
  await tartlet.push('made', `${repository}:1`);
  await using other = openTartlet({ home: `${temporaryDirectory()}/other`, environment: {} });
  const whole: string[] = [];
  const onWhole = (why: NotLazy): void => void whole.push(why.kind);
  expect(await other.clone(`${repository}:1`, 'job', { lazy: 'always', onWhole })).toMatchObject({
    copied: 'lazy',
    start: { bytesPerSecond: undefined },
  });
  expect(existsSync(`${other.home}/vms/job/disk.img`)).toBe(false);
  // It is here in a moment.
  expect(await other.clone(`${repository}:1`, 'other', { lazy: 'auto', onWhole })).not.toMatchObject({
    copied: 'lazy',
  });
  // It is in the cache now.
  expect(await other.clone(`${repository}:1`, 'job', { lazy: 'always' })).toMatchObject({
    copied: expect.not.stringMatching('lazy') as string,
    replaced: true,
  });
  expect(existsSync(`${other.home}/vms/job/disk.img`)).toBe(true);
  expect(whole).toEqual(['whole-is-quick']);
});

it('makes a VM of a disk that is there, and refuses one that is not what was asked for', async () => {
  const image = `${temporaryDirectory()}/cloud.raw`;
  const bytes = Buffer.alloc(MIB);
  // All that a disk has to have: the end of its first sector.
  bytes.writeUInt16LE(0xaa55, 510);
  writeFileSync(image, bytes);
  const source = { kind: 'file', path: image } as const;
  const seed = { userData: Buffer.from('#cloud-config') };
  await tartlet.createFromImage('cloud', { source, seed, diskBytes: 8 * MIB, arch: 'arm64' });
  expect(readFileSync(`${home}/vms/cloud/disk.img`).subarray(0, MIB).equals(bytes)).toBe(true);
  expect(readFileSync(`${home}/vms/cloud/config.json`, 'utf8')).toContain('"arch" : "arm64"');
  expect(readdirSync(`${home}/vms/cloud`)).toContain('cloud-init.iso');
  const wrong = { source, diskBytes: 8 * MIB, digest: `sha256:${'0'.repeat(64)}` };
  await expect(tartlet.createFromImage('cloud', wrong)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
});

it('tells how far a transfer is, from 0 to exactly 1', async () => {
  await makeVm('made');
  await tartlet.push('made', `${repository}:1`);
  const told: TransferProgress[] = [];
  await using other = openTartlet({ home: `${temporaryDirectory()}/other`, environment: {} });
  await other.pull(`${repository}:1`, { onProgress: (progress) => told.push(progress) });

  const fractions = told.map(({ fraction }) => fraction);
  expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
  expect(told[0]).toMatchObject({ subject: `${repository}:1`, direction: 'pull', fraction: 0, diskBytes: 8 * MIB });
  const last = told.at(-1);
  expect(last?.fraction).toBe(1);
  expect(last?.bytes).toBe(last?.bytesTotal);
});

describe('an image that is looked into', () => {
  it('reads verified bytes of a disk in a registry, without pulling it', async () => {
    const disk = await makeVm('made');
    await tartlet.push('made', `${repository}:1`, { diskChunkBytes: 2 * MIB });
    await using image = await tartlet.image(`${repository}:1`);
    expect(image.isCached).toBe(false);
    expect(image.disk.size).toBe(8 * MIB);
    // Within a chunk, across two, and the last byte.
    for (const [offset, length] of [
      [512, 1024],
      [2 * MIB - 10, 20],
      [8 * MIB - 1, 1],
      [0, 0],
    ] as const) {
      const bytes = await image.disk.read({ offset, length });
      expect(Buffer.from(bytes).equals(disk.subarray(offset, offset + length))).toBe(true);
    }
    expect(await tartlet.list({ source: 'oci' })).toEqual([]);
  });

  it('fetches a chunk once for all that is read of it, and nothing of the others', async () => {
    await makeVm('made');
    await tartlet.push('made', `${repository}:1`, { diskChunkBytes: 2 * MIB });
    const blobs: string[] = [];
    await using watching = openTartlet({
      home,
      environment: {},
      onWire: (event) => {
        if (event.kind === 'request' && event.url.includes('/blobs/')) blobs.push(event.url);
      },
    });
    await using image = await watching.image(`${repository}:1`);
    await Promise.all([0, 512, 4096].map(async (offset) => image.disk.read({ offset, length: 512 })));
    expect(new Set(blobs).size).toBe(1);
    expect(blobs).toHaveLength(1);
  });

  it('reads a cached image without the registry', async () => {
    const disk = await makeVm('made');
    await tartlet.push('made', `${repository}:1`, { populateCache: true });
    await registry.close();
    await using image = await tartlet.image(`${repository}:1`);
    expect(image.isCached).toBe(true);
    const bytes = await image.disk.read({ offset: MIB - 4, length: 8 });
    expect(Buffer.from(bytes).equals(disk.subarray(MIB - 4, MIB + 4))).toBe(true);
  });

  it('refuses what is not on the disk', async () => {
    await makeVm('made');
    await tartlet.push('made', `${repository}:1`);
    await using image = await tartlet.image(`${repository}:1`);
    for (const [offset, length] of [
      [8 * MIB, 1],
      [-1, 1],
      [0, 0.5],
    ] as const) {
      await expect(image.disk.read({ offset, length })).rejects.toMatchObject({ code: 'USAGE' });
    }
  });

  it('leaves nothing behind', async () => {
    await makeVm('made');
    await tartlet.push('made', `${repository}:1`);
    const image = await tartlet.image(`${repository}:1`);
    await image.disk.read({ offset: 0, length: 512 });
    await image.close();
    const { findings } = await tartlet.doctor();
    expect(findings).toEqual([]);
  });
});

it('speaks to a repository with verified blobs, and unverified ones by a door that is named so', async () => {
  await makeVm('made');
  const [pushed] = await tartlet.push('made', `${repository}:1`);
  await using client = tartlet.repository(`${repository}:1`);
  const tags: string[] = [];
  for await (const tag of client.tags()) tags.push(tag);
  expect(tags).toEqual(['1']);
  const { layers } = JSON.parse(Buffer.from(pushed?.manifest ?? []).toString()) as {
    layers: { digest: string; size: number }[];
  };
  const [layer] = layers;
  const { Digest } = await import('../../src/entry/names.ts');
  const blob = { digest: Digest.parse(layer?.digest ?? ''), size: layer?.size ?? 0 };
  for (const pieces of [client.blob(blob), client.unverifiedBlob(blob)]) {
    const all: Uint8Array[] = [];
    for await (const piece of pieces) all.push(Uint8Array.from(piece));
    expect(Digest.of(Buffer.concat(all)).toString()).toBe(layer?.digest);
  }
});

it('names what is wrong by a code', async () => {
  await expect(tartlet.pull('https://registry.example/a')).rejects.toMatchObject({ code: 'NAME_MALFORMED' });
  await expect(tartlet.get('none')).rejects.toMatchObject({ code: 'VM_NOT_FOUND' });
  await expect(tartlet.pull(`${repository}:none`)).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

it('ends what is under way when it is closed, and refuses what comes later', async () => {
  await makeVm('made');
  await tartlet.push('made', `${repository}:1`);
  const other = openTartlet({ home: `${temporaryDirectory()}/other`, environment: {} });
  let tell = (): void => undefined;
  const resolved = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const pulling = other.pull(`${repository}:1`, {
    onEvent: (event: TransferEvent) => {
      if (event.kind === 'resolved') tell();
    },
  });
  await resolved;
  await Promise.all([other.close(), expect(pulling).rejects.toMatchObject({ name: 'AbortError' })]);
  await expect(other.list()).rejects.toMatchObject({ name: 'AbortError' });
  expect(await tartlet.list({ source: 'local' })).toHaveLength(1);
});

it('finds its home where the command finds it', async () => {
  const directory = temporaryDirectory();
  expect(openTartlet({ environment: { TART_HOME: `${directory}/elsewhere` } }).home).toBe(`${directory}/elsewhere`);
  expect(openTartlet({ environment: { HOME: directory } }).home).toBe(`${directory}/.tart`);
  expect(existsSync(`${directory}/.tart`)).toBe(false);
});

it('gives a fleet what is cached, and takes from it, until it is closed', async () => {
  const token = 'f'.repeat(64);
  await makeVm('made');
  await tartlet.push('made', [`${repository}:1`], { populateCache: true });
  const paths: string[] = [];
  const options = {
    token,
    listen: { host: '127.0.0.1', port: 0 },
    onRequest: ({ path }: PeerRequest) => paths.push(path),
  };
  const { address } = await tartlet.servePeers(options);
  const peers = { token, addresses: [`127.0.0.1:${address.port}`] };
  await using other = openTartlet({ home: `${temporaryDirectory()}/other`, environment: {}, peers });
  const { peerBytes } = await other.pull(`${repository}:1`);
  expect(peerBytes).toBeGreaterThan(2 * MIB);
  expect(paths).toContain('/content');
  await tartlet.close();
  await using third = openTartlet({ home: `${temporaryDirectory()}/third`, environment: {}, peers });
  expect(await third.pull(`${repository}:1`)).toMatchObject({ status: 'pulled', peerBytes: 0 });
  expect(() => openTartlet({ environment: {}, home, peers: { token: 'short' } })).toThrow('has 5 characters');
});
