import { expect } from 'vitest';
import { atFirst, blobRoute } from '../support/scripted-image.ts';
import { sha256, storedStream, tinyImage } from '../support/tart-image.ts';
import { row } from './row.ts';
import { REPOSITORY } from './world.ts';

const CHUNK = Buffer.alloc(200_000, 'what a disk may hold. ');
const IMAGE = tinyImage({ chunks: [CHUNK, Buffer.alloc(4096, 'x')] });
const BLOB = storedStream(CHUNK);
const ROUTE = blobRoute(REPOSITORY, sha256(BLOB));
const SIZE = { 'content-length': String(BLOB.length) };

row('N13', 'a pull continues a chunk that stalls, by a range', async (world) => {
  const registry = await world.serve(IMAGE);
  registry.on(ROUTE, atFirst(BLOB, { headers: SIZE, body: BLOB.subarray(0, 100_000), ending: 'stall' }));
  const { status } = await world.pull(registry, { image: IMAGE });
  expect(status).toBe('pulled');
});

row('N37', 'a pull whose chunk is not there says which, and shows nothing', async (world) => {
  const registry = await world.serve(IMAGE);
  registry.on(ROUTE, { status: 404 });
  await expect(world.pull(registry, { image: IMAGE })).rejects.toMatchObject({ code: 'NOT_FOUND' });
});
