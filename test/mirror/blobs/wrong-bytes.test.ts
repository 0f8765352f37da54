import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { TartletError } from '../../../src/errors.ts';
import { gate, type Meddle, openCache, PlayedBlob, readAll } from './played-upstream.ts';

const SIZE = 100_000;

const flipped: Meddle = async ({ at, bytes }) => {
  if (at !== 20_000) return undefined;
  const wrong = Buffer.from(bytes);
  wrong[7] = (wrong[7] ?? 0) ^ 1;
  return wrong;
};
const tooLong: Meddle = async ({ at, bytes }) =>
  at === SIZE - 10_000 ? Buffer.concat([bytes, Buffer.from('!')]) : undefined;
const endless: Meddle = async ({ at, bytes }) =>
  at === SIZE - 10_000 ? Buffer.concat([bytes, bytes]) : Buffer.from(bytes).fill(1);
const anotherBlob: Meddle = async ({ bytes }) => Buffer.alloc(bytes.length, 'x');
const cutShort: Meddle = async ({ at }) => {
  if (at === 30_000) throw new TartletError('SIZE_MISMATCH', 'it ended early', { retryable: true });
  return undefined;
};

describe('wrong bytes of an upstream are never stored, break the connections of all who wait, and the next try heals', () => {
  it.each([
    { what: 'one bit flipped (Q3)', meddle: flipped, code: 'DIGEST_MISMATCH' },
    { what: 'another blob (Q3, S18)', meddle: anotherBlob, code: 'DIGEST_MISMATCH' },
    { what: 'more than there is (N18)', meddle: tooLong, code: 'SIZE_MISMATCH' },
    { what: 'something else without an end (N18)', meddle: endless, code: 'SIZE_MISMATCH' },
    { what: 'less than there is (N19)', meddle: cutShort, code: 'SIZE_MISMATCH' },
  ])('$what', async ({ meddle, code }) => {
    const { cache, root } = await openCache();
    const blob = new PlayedBlob(SIZE);
    blob.meddle = meddle;
    const contents = await Promise.all(Array.from({ length: 3 }, async () => cache.open(blob.digest, blob.origin())));
    const ends = await Promise.allSettled(contents.map(async (content) => readAll(content)));
    expect(ends).toMatchObject(Array.from({ length: 3 }, () => ({ status: 'rejected', reason: { code } })));
    expect(await cache.find(blob.digest)).toBeUndefined();
    expect(existsSync(path.join(root, 'blobs/sha256'))).toBe(false);

    blob.meddle = async () => undefined;
    expect(await readAll(await cache.open(blob.digest, blob.origin()))).toEqual(blob.bytes);
    await vi.waitFor(() => expect(cache.stats()).toMatchObject({ stored: 1, flights: 0, heldBytes: SIZE }));
    await vi.waitFor(() => expect(readdirSync(path.join(root, 'spool'))).toEqual([]));
  });

  it('no client is given the last byte before the digest is known (Q3)', async () => {
    const { cache } = await openCache();
    const blob = new PlayedBlob(SIZE);
    blob.meddle = flipped;
    const end = gate();
    const origin = blob.origin();
    // Every byte is there, and the answer of the upstream is not over.
    const read = async function* (from: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
      yield* origin.read(from, signal);
      await end.passed;
    };
    const content = await cache.open(blob.digest, { ...origin, read });
    const buffer = Buffer.alloc(SIZE);
    let at = 0;
    while (at < SIZE - 1) at += await content.read(buffer.subarray(at), at);
    expect(at).toBe(SIZE - 1);
    const last = content.read(buffer, at);
    end.open();
    await expect(last).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    await content.close();
  });
});

describe('what one client is told of a blob does not reach another one', () => {
  it('an upstream that sends nothing, or lies, is waited for by its own clients only (S79)', async () => {
    const { cache } = await openCache();
    const blob = new PlayedBlob(SIZE);
    const never = gate();
    const evil = new PlayedBlob(SIZE);
    evil.meddle = async () => {
      await never.passed;
      return Buffer.alloc(10_000);
    };
    const misled = await cache.open(blob.digest, evil.origin('evil.example'));
    const waiting = readAll(misled);
    const content = await cache.open(blob.digest, blob.origin('ghcr.io'));
    expect(await readAll(content)).toEqual(blob.bytes);
    await vi.waitFor(() => expect(cache.stats().stored).toBe(1));
    never.open();
    await expect(waiting).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    const found = await cache.find(blob.digest);
    expect(found === undefined ? undefined : await readAll(found)).toEqual(blob.bytes);
  });

  it('a manifest that says another size of a blob breaks only what is asked for by it (S79)', async () => {
    const { cache } = await openCache();
    const blob = new PlayedBlob(SIZE);
    const slow = gate();
    blob.meddle = async ({ at }) => {
      if (at === 60_000) await slow.passed;
      return undefined;
    };
    const misled = await cache.open(blob.digest, blob.origin('ghcr.io', 50_000));
    const honest = await cache.open(blob.digest, blob.origin('ghcr.io'));
    const reading = readAll(honest);
    await expect(readAll(misled)).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
    slow.open();
    expect(await reading).toEqual(blob.bytes);
  });
});
