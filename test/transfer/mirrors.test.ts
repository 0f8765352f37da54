import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openTartlet, type Tartlet } from '../../src/index.ts';
import { Tag } from '../../src/names/tag.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { startMeddlingRegistry } from '../support/meddling-registry.ts';
import { serveImage } from '../support/scripted-image.ts';
import { ScriptedRegistry } from '../support/scripted-registry.ts';
import { tinyImage } from '../support/tart-image.ts';

const CHUNK = Buffer.alloc(200_000, 'what a disk may hold. ');
const IMAGE = tinyImage({ chunks: [CHUNK, Buffer.alloc(4096, 'x')] });

let cleanup: Cleanup;
let registry: ScriptedRegistry;
let mirror: ScriptedRegistry;
let tartlet: Tartlet;
let name: string;

beforeEach(async () => {
  cleanup = new Cleanup();
  const directory = mkdtempSync(`${tmpdir()}/tartlet-mirrors-`);
  cleanup.add(() => rmSync(directory, { recursive: true }));
  registry = await ScriptedRegistry.start();
  mirror = await ScriptedRegistry.start();
  cleanup.add(async () => {
    await Promise.all([registry.close(), mirror.close()]);
  });
  serveImage(registry, 'org/vm', '1', IMAGE);
  serveImage(mirror, 'cache/org/vm', '1', IMAGE);
  const file = path.join(directory, 'registries.conf');
  const table = `[[registry]]\nlocation = "${registry.authority}"\n`;
  writeFileSync(file, `${table}[[registry.mirror]]\nlocation = "${mirror.authority}/cache"\n`);
  const environment = { TARTLET_MIRRORS: file, HOME: directory };
  tartlet = openTartlet({ home: path.join(directory, 'home'), environment, credentials: 'none' });
  cleanup.add(async () => tartlet.close());
  name = `${registry.authority}/org/vm:1`;
});

afterEach(async () => cleanup.run());

it('a pull keeps the name of the registry, and the record says which mirror served', async () => {
  await tartlet.pull(name);
  expect((await tartlet.list()).map((each) => each.name)).toContain(name);
  const found = await tartlet.inspect(name);
  expect(found).toMatchObject({
    kind: 'cached',
    origin: { via: 'pull', registry: registry.authority, servedBy: [`${mirror.authority}/cache/org/vm`] },
  });
  expect(registry.log).toEqual([]);
});

it('a preview of a pull, and a look at the manifest, ask the mirror', async () => {
  expect((await tartlet.previewPull(name)).digest.toString()).toBe(IMAGE.digest);
  expect(await tartlet.inspect(name, { remote: true })).toMatchObject({
    servedBy: [`${mirror.authority}/cache/org/vm`],
  });
  expect(mirror.log).toHaveLength(2);
  expect(registry.log).toEqual([]);
});

it('a disk that is read in its registry is read in the mirror', async () => {
  await using image = await tartlet.image(name);
  const bytes = await image.disk.read({ offset: 5, length: 20 });
  expect(Buffer.from(bytes)).toEqual(CHUNK.subarray(5, 25));
  expect(registry.log).toEqual([]);
});

/** The mirror has no boot order of the image. */
function withoutBootOrder(): void {
  mirror.on('*', ({ path: asked }) => {
    if (/\/referrers\/|\/manifests\/sha256-/.test(asked)) return { status: 404 };
    throw new Error(`unexpected: ${asked}`);
  });
}

it('a copy reads from the mirror, and writes to the registry that it names', async () => {
  withoutBootOrder();
  const target = await startMeddlingRegistry();
  await tartlet.copy(name, `${target.at}/copies/vm:1`);
  expect((await target.get('/v2/copies/vm/manifests/1'))?.equals(Buffer.from(IMAGE.manifest))).toBe(true);
  expect(registry.log).toEqual([]);
});

it('a copy within a registry with mirrors asks that registry for mounts, and mirrors for what is not mounted', async () => {
  registry.on('*', ({ method, path: asked }) => {
    if (method === 'POST') return { status: 202, headers: { location: '/v2/copies/vm/blobs/uploads/1' } };
    if (method === 'PUT') return { status: 201 };
    return { status: asked.includes('/blobs/') ? 404 : 200 };
  });
  withoutBootOrder();
  await tartlet.copy(name, `${registry.authority}/copies/vm:1`);
  expect(registry.log.filter((line) => line.startsWith('GET'))).toEqual([]);
  expect(mirror.log.every((line) => line.startsWith('GET'))).toBe(true);
});

it('a repair fetches what is damaged from the mirror', async () => {
  await tartlet.pull(name);
  const found = await tartlet.inspect(name);
  if (found.kind !== 'cached') throw new Error('not cached');
  writeFileSync(`${found.path}/disk.img`, Buffer.concat([Buffer.alloc(200_000, 'damaged'), Buffer.alloc(4096, 'x')]));
  mirror.requests.length = 0;
  const { repaired } = await tartlet.doctor({ fix: true, deep: true });
  expect(repaired.map(({ result }) => result)).toEqual(['repaired']);
  expect(mirror.log.some((line) => line.includes('/blobs/'))).toBe(true);
  expect(registry.log).toEqual([]);
});

it('a name with a tag and a digest is pulled, though the tag of the mirror is behind', async () => {
  serveImage(mirror, 'cache/org/vm', '1', tinyImage({ chunks: [Buffer.alloc(4096, 'older')] }));
  const { digest } = await tartlet.pull(`${name}@${IMAGE.digest}`);
  expect(digest.toString()).toBe(IMAGE.digest);
  expect(mirror.log).toHaveLength(1);
});

it('an operation without mirrors asks the registry alone', async () => {
  await tartlet.pull(name, { mirrors: 'off' });
  expect(mirror.log).toEqual([]);
  expect(await tartlet.inspect(name)).not.toHaveProperty('origin.servedBy');
});

it('a push and a client of a repository never ask a mirror', async () => {
  await using client = tartlet.repository(name);
  await client.manifest({ tag: Tag.parse('1') });
  expect(mirror.log).toEqual([]);
  expect(registry.log).toHaveLength(1);
});
