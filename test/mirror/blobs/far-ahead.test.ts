import { expect, it } from 'vitest';
import { gate, openCache, PlayedBlob, readAll } from './played-upstream.ts';

const MIB = 1024 * 1024;
const SIZE = 20 * MIB;

/** A blob of which only the first 30,000 bytes arrive by the flight, and its reader. */
async function beginning(): Promise<{
  cache: Awaited<ReturnType<typeof openCache>>['cache'];
  blob: PlayedBlob;
  open: () => void;
}> {
  const { cache } = await openCache();
  const blob = new PlayedBlob(SIZE);
  const { passed, open } = gate();
  blob.meddle = async ({ at }) => (at === 30_000 ? passed.then(() => undefined) : undefined);
  return { cache, blob, open };
}

it('a small range that is far ahead is asked for by itself, and costs no more than its length', async () => {
  const { cache, blob } = await beginning();
  const content = await cache.open(blob.digest, blob.origin());
  const [from, to] = [16 * MIB, 17 * MIB];
  await content.prepare?.(from, to);
  expect((await readAll(content, from, to)).equals(blob.bytes.subarray(from, to))).toBe(true);
  expect([blob.reads, cache.stats().passedBytes]).toEqual([[0, from], MIB]);
});

it.each([
  { what: 'is near', from: 4 * MIB, to: 5 * MIB },
  { what: 'is large', from: 10 * MIB, to: 15 * MIB },
])('a range that $what waits for the flight', async ({ from, to }) => {
  const { cache, blob, open } = await beginning();
  const content = await cache.open(blob.digest, blob.origin());
  await content.prepare?.(from, to);
  const reading = readAll(content, from, to);
  open();
  expect((await reading).equals(blob.bytes.subarray(from, to))).toBe(true);
  expect([blob.reads, cache.stats().passedBytes]).toEqual([[0], 0]);
});

it('what the upstream refuses is known before the head of an answer goes out', async () => {
  const { cache, blob } = await beginning();
  blob.meddle = async () => {
    throw new Error('the upstream has no such blob');
  };
  const content = await cache.open(blob.digest, blob.origin());
  await expect(content.prepare?.(0, undefined)).rejects.toThrow('the upstream has no such blob');
  await content.close();
});
