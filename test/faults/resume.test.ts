import { createCipheriv } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { expect } from 'vitest';
import { AppleLz4Encoder } from '../../src/codec/apple-lz4-encoder.ts';
import { eventually } from '../support/real-process.ts';
import { atFirst, blobRoute, honest } from '../support/scripted-image.ts';
import type { ScriptedRegistry } from '../support/scripted-registry.ts';
import { sha256, tinyImage } from '../support/tart-image.ts';
import { row } from './row.ts';
import { REPOSITORY, type World } from './world.ts';

const KIB = 1024;
/** What a kill may cost of each chunk under way: what was not noted yet, and the block that it hit. */
const WINDOW = (256 + 64) * KIB;

/** A chunk that compresses to about a half, and whose blocks reach back into those before. */
function content(bytes: number, seed: number): Buffer {
  const noise = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16)).update(Buffer.alloc(bytes));
  for (let at = 0; at + 2048 <= bytes; at += 2048)
    noise.copyWithin(at + 1024, Math.max(0, at - 40_000), Math.max(0, at - 40_000) + 1024);
  return noise;
}

function encode(bytes: Uint8Array): Uint8Array {
  const pieces: Uint8Array[] = [];
  const encoder = new AppleLz4Encoder((piece) => pieces.push(Buffer.from(piece)));
  encoder.push(bytes);
  encoder.finish();
  return Buffer.concat(pieces);
}

const CHUNKS = [content(5000 * KIB, 1), content(3000 * KIB, 2)];
const BLOBS = CHUNKS.map((chunk) => encode(chunk));
const IMAGE = tinyImage({ chunks: CHUNKS, encode: (chunk) => BLOBS[CHUNKS.indexOf(chunk as Buffer)] ?? chunk });
const routeOf = (blob: Uint8Array): string => blobRoute(REPOSITORY, sha256(blob));

/** The last boundary that is noted of a chunk. */
function noted(world: World, index: number): { encoded: number; decoded: number } {
  const journal = `${world.home.stagingDirectory}/${IMAGE.digest.slice(7)}/.verified`;
  const text = existsSync(journal) ? readFileSync(journal, 'utf8') : '';
  const [, encoded = '0', decoded = '0'] =
    [...text.matchAll(/^(\d+)@(\d+):(\d+)$/gm)].findLast(([line]) => line.startsWith(`${index}@`))?.slice(1) ?? [];
  return { encoded: Number(encoded), decoded: Number(decoded) };
}

/** Bytes of blobs that were asked for since a request. */
function askedFor(registry: ScriptedRegistry, since: number): number {
  return registry.requests.slice(since).reduce((sum, { path, headers }) => {
    const blob = BLOBS.find((each) => path.includes(sha256(each)));
    if (blob === undefined) return sum;
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers['range'] ?? '') ?? [];
    return sum + (first === undefined ? blob.length : Number(last) - Number(first) + 1);
  }, 0);
}

/** Lets a pull come so far with each chunk, and kills it there. */
async function killAt(world: World, registry: ScriptedRegistry, bytes: readonly number[]): Promise<void> {
  for (const [index, blob] of BLOBS.entries()) {
    const some = blob.subarray(0, bytes[index]);
    registry.on(routeOf(blob), { headers: { 'content-length': String(blob.length) }, body: some, ending: 'stall' });
  }
  const pull = world.workplace.start('pull', '--concurrency', '2', `${registry.authority}/${REPOSITORY}:latest`);
  await eventually('all of it is noted', () =>
    bytes.every((count, index) => noted(world, index).encoded >= count - WINDOW),
  );
  pull.kill('SIGKILL');
  await pull.ended;
  for (const blob of BLOBS) registry.on(routeOf(blob), (request) => honest(blob, request));
}

const SIZES = BLOBS.map(({ length }) => length);
const TOTAL = SIZES.reduce((sum, size) => sum + size, 0);

for (const part of [0.15, 0.4, 0.63, 0.85, 0.999]) {
  row(
    'P1',
    `a pull that is killed after ${part * 100} % of its chunks fetches what is missing, and one window of each`,
    async (world) => {
      const registry = await world.serve(IMAGE);
      const bytes = SIZES.map((size) => Math.floor(size * part));
      await killAt(world, registry, bytes);
      const before = registry.requests.length;
      const { fetchedBytes } = await world.pull(registry, { image: IMAGE });
      const missing = TOTAL - bytes.reduce((sum, count) => sum + count, 0);
      const asked = askedFor(registry, before);
      expect(asked).toBeLessThanOrEqual(missing + 2 * WINDOW);
      expect(fetchedBytes - IMAGE.config.length - IMAGE.nvram.length).toBe(asked);
    },
  );
}

row('P1', 'a pull that is killed three times fetches everything once, and a window for each kill', async (world) => {
  const registry = await world.serve(IMAGE);
  for (const part of [0.3, 0.5, 0.9]) {
    await killAt(
      world,
      registry,
      SIZES.map((size) => Math.floor(size * part)),
    );
    // The stalled answers begin at the beginning: only the first kill may have begun there.
    expect(askedFor(registry, 0)).toBeGreaterThan(0);
  }
  const before = registry.requests.length;
  await world.pull(registry, { image: IMAGE });
  expect(askedFor(registry, before)).toBeLessThanOrEqual(TOTAL * 0.1 + 2 * WINDOW + 2);
});

row(
  'P29',
  'what lies on the disk is hashed again: a byte that is wrong there lets its chunk begin anew',
  async (world) => {
    const registry = await world.serve(IMAGE);
    await killAt(
      world,
      registry,
      SIZES.map((size) => Math.floor(size / 2)),
    );
    const disk = `${world.home.stagingDirectory}/${IMAGE.digest.slice(7)}/disk.img`;
    const bytes = readFileSync(disk);
    bytes[1000] = (bytes[1000] ?? 0) ^ 1;
    writeFileSync(disk, bytes);
    const before = registry.requests.length;
    expect(await world.pull(registry, { image: IMAGE })).toMatchObject({ status: 'pulled' });
    const asked = registry.requests
      .slice(before)
      .filter(({ path }) => path.includes(sha256(BLOBS[0] ?? Buffer.alloc(0))));
    expect(asked.map(({ headers }) => headers['range'] === undefined)).toEqual([false, true]);
  },
);

const LIES = [
  '0@1:1',
  '0@12:65536',
  '0@999999999:64',
  '0@64:999999999',
  '0@65536:65536',
  '1@0:0',
  '77@5:5',
  '0@',
  '@:',
  '0@5:',
];

row('P29', 'a journal that lies costs time and nothing else', async (world) => {
  const registry = await world.serve(IMAGE);
  await killAt(
    world,
    registry,
    SIZES.map((size) => Math.floor(size / 2)),
  );
  const journal = `${world.home.stagingDirectory}/${IMAGE.digest.slice(7)}/.verified`;
  for (const lie of LIES) {
    appendFileSync(journal, `${lie}\n1@70000:131072`);
    registry.on(routeOf(BLOBS[1] ?? Buffer.alloc(0)), { status: 403 });
    await expect(world.pull(registry, { image: IMAGE, concurrency: 1 })).rejects.toMatchObject({ code: 'AUTH_DENIED' });
  }
  registry.on(routeOf(BLOBS[1] ?? Buffer.alloc(0)), atFirst(BLOBS[1] ?? Buffer.alloc(0)));
  expect(await world.pull(registry, { image: IMAGE })).toMatchObject({ status: 'pulled' });
});
