import { readdirSync, readlinkSync, statSync, truncateSync, unlinkSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import type { BlobCache } from '../../../src/mirror/blobs/blob-cache.ts';
import { failFsync } from '../../support/fsync-fault.ts';
import { failWritesFrom } from './disk-fault.ts';
import { gate, openCache, PlayedBlob, readAll } from './played-upstream.ts';

const SIZE = 100_000;

/** Bytes of all files below a directory. */
function bytesIn(root: string): number {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(path.join(entry.parentPath, entry.name)).size, 0);
}

async function fetched(cache: BlobCache, blob: PlayedBlob): Promise<void> {
  expect(await readAll(await cache.open(blob.digest, blob.origin()))).toEqual(blob.bytes);
  await vi.waitFor(() => expect(cache.stats().flights).toBe(0));
}

describe('a budget', () => {
  it('is held by removing what was not used for the longest time', async () => {
    const { cache, root } = await openCache({ budgetBytes: 3 * SIZE });
    const blobs = Array.from({ length: 4 }, () => new PlayedBlob(SIZE));
    const [first, second, third, fourth] = blobs as [PlayedBlob, PlayedBlob, PlayedBlob, PlayedBlob];
    for (const blob of [first, second, third]) await fetched(cache, blob);
    await (await cache.find(first.digest))?.close();
    await fetched(cache, fourth);
    const there = await Promise.all(blobs.map(async ({ digest }) => cache.find(digest)));
    expect(there.map((content) => content !== undefined)).toEqual([true, false, true, true]);
    for (const content of there) await content?.close();
    expect([bytesIn(path.join(root, 'blobs')), cache.stats().heldBytes]).toEqual([3 * SIZE, 3 * SIZE]);
  });

  it('counts a begun blob as well, which goes first', async () => {
    const { cache, root } = await openCache({ budgetBytes: 2 * SIZE, graceMs: 0 });
    const begun = new PlayedBlob(SIZE);
    begun.meddle = async ({ at }) => (at === 20_000 ? gate().passed.then(() => undefined) : undefined);
    const content = await cache.open(begun.digest, begun.origin());
    await content.read(Buffer.alloc(10), 19_990);
    await content.close();
    await vi.waitFor(() => expect(cache.stats()).toMatchObject({ flights: 0, heldBytes: 20_000 }));
    await fetched(cache, new PlayedBlob(SIZE));
    await fetched(cache, new PlayedBlob(SIZE));
    expect([cache.stats().stored, readdirSync(path.join(root, 'spool'))]).toEqual([2, []]);
  });

  it('never breaks what is being read, and is held within one blob meanwhile (S80)', async () => {
    const { cache, root } = await openCache({ budgetBytes: 2 * SIZE });
    const blobs = Array.from({ length: 6 }, () => new PlayedBlob(SIZE));
    const open = [];
    for (const blob of blobs) {
      // Each is opened and read to its middle only: a client that holds its place.
      const content = await cache.open(blob.digest, blob.origin());
      await content.read(Buffer.alloc(10), SIZE / 2);
      open.push(content);
      expect(bytesIn(root)).toBeLessThanOrEqual(3 * SIZE);
    }
    // There was no room for the others: they got their bytes without the disk.
    expect(cache.stats().passedBytes).toBeGreaterThan(0);
    const read = await Promise.all(open.map(async (content) => readAll(content, SIZE / 2 + 10)));
    expect(read.map((bytes, index) => bytes.equals(blobs[index]?.bytes.subarray(SIZE / 2 + 10) ?? bytes))).toEqual(
      blobs.map(() => true),
    );
    await vi.waitFor(() => expect(cache.stats().flights).toBe(0));
    expect(cache.stats().heldBytes).toBeLessThanOrEqual(3 * SIZE);
    await fetched(cache, new PlayedBlob(SIZE));
    expect(bytesIn(root)).toBeLessThanOrEqual(2 * SIZE);
  });

  it('is not emptied for a blob of a size that the disk cannot have, whatever an upstream says (S80)', async () => {
    const { cache } = await openCache();
    const kept = new PlayedBlob(SIZE);
    await fetched(cache, kept);
    const huge = new PlayedBlob(SIZE);
    const content = await cache.open(huge.digest, huge.origin('liar.example', 10 ** 15));
    await content.read(Buffer.alloc(10), 0);
    await content.close();
    expect(cache.stats()).toMatchObject({ stored: 1, evicted: 0 });
  });

  it('may be less than one blob, which is then there for as long as nothing else is wanted', async () => {
    const { cache, root } = await openCache({ budgetBytes: SIZE / 2 });
    await fetched(cache, new PlayedBlob(SIZE));
    await fetched(cache, new PlayedBlob(SIZE));
    expect([bytesIn(root), cache.stats()]).toMatchObject([SIZE, { stored: 1, evicted: 1 }]);
  });

  it('that became smaller is held from the start', async () => {
    const { cache, root } = await openCache();
    for (let index = 0; index < 3; index += 1) await fetched(cache, new PlayedBlob(SIZE));
    await cache.close();
    const { DataDirectory } = await import('../../../src/server/store/data-directory.ts');
    await openCache({ directory: new DataDirectory(root), budgetBytes: SIZE });
    expect(bytesIn(root)).toBe(SIZE);
  });
});

it('a blob takes one descriptor, whatever number of clients reads it', async () => {
  const { cache } = await openCache();
  const blob = new PlayedBlob(SIZE);
  const late = gate();
  blob.meddle = async ({ at }) => (at === 50_000 ? late.passed.then(() => undefined) : undefined);
  const arriving = await Promise.all(Array.from({ length: 30 }, async () => cache.open(blob.digest, blob.origin())));
  await Promise.all(arriving.map(async (content) => content.read(Buffer.alloc(10), 0)));
  expect(descriptorsOf(blob)).toBe(1);
  late.open();
  expect((await Promise.all(arriving.map(async (content) => readAll(content)))).length).toBe(30);
  await vi.waitFor(() => expect([cache.stats().flights, descriptorsOf(blob)]).toEqual([0, 0]));
  const stored = await Promise.all(Array.from({ length: 30 }, async () => cache.find(blob.digest)));
  expect(descriptorsOf(blob)).toBe(1);
  for (const content of stored) await content?.close();
  expect(descriptorsOf(blob)).toBe(0);
});

/** Open descriptors of this process that lead to a blob or its spool. */
function descriptorsOf(blob: PlayedBlob): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).includes(blob.digest.hex);
    } catch {
      return false;
    }
  }).length;
}

describe('clients get their bytes, and verified, although the disk of the cache', () => {
  it('must keep its last bytes free (D34)', async () => {
    const { bavail, bsize } = await statfs('.');
    const { cache, root, events } = await openCache({ freeBytes: bavail * bsize * 2 });
    const blob = new PlayedBlob(SIZE);
    expect(await readAll(await cache.open(blob.digest, blob.origin()))).toEqual(blob.bytes);
    await vi.waitFor(() => expect(bytesIn(root)).toBe(0));
    expect([cache.stats(), events]).toMatchObject([
      { stored: 0, flights: 0, heldBytes: 0, passedBytes: SIZE },
      [{ kind: 'not-spooled', reason: 'there is no room for it' }],
    ]);
  });

  it.each([
    { code: 'ENOSPC', says: 'no space left on the device' },
    { code: 'EIO', says: 'refused' },
  ])('fails with $code in the middle of a blob (D34)', async ({ code, says }) => {
    const { cache, root, events } = await openCache();
    await failWritesFrom(40_000, code);
    const blob = new PlayedBlob(SIZE);
    const contents = await Promise.all(Array.from({ length: 3 }, async () => cache.open(blob.digest, blob.origin())));
    const read = await Promise.all(contents.map(async (content) => readAll(content)));
    expect(read.map((bytes) => bytes.equals(blob.bytes))).toEqual([true, true, true]);
    expect(blob.reads).toEqual([0, 40_000, 40_000, 40_000]);
    expect(events).toMatchObject([{ kind: 'not-spooled', reason: expect.stringContaining(says) as string }]);
    await vi.waitFor(() => expect([bytesIn(root), cache.stats().heldBytes]).toEqual([0, 0]));

    // What passes is verified as well, from the first byte to the last.
    blob.meddle = async ({ at, bytes }) => (at === 90_000 ? Buffer.alloc(bytes.length) : undefined);
    const content = await cache.open(blob.digest, blob.origin());
    await expect(readAll(content)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  it('cannot fsync it: it is not stored then (D9, D34)', async () => {
    const { cache, root, events } = await openCache();
    await failFsync('files', 'EIO');
    const blob = new PlayedBlob(SIZE);
    expect(await readAll(await cache.open(blob.digest, blob.origin()))).toEqual(blob.bytes);
    await vi.waitFor(() => expect(events.map(({ kind }) => kind)).toEqual(['not-spooled']));
    await vi.waitFor(() => expect([bytesIn(root), cache.stats().heldBytes]).toEqual([0, 0]));
  });
});

describe('a stored blob that another program', () => {
  it.each([
    { what: 'removed', change: (file: string) => unlinkSync(file) },
    { what: 'cut off', change: (file: string) => truncateSync(file, 10) },
  ])('$what is fetched again (D35)', async ({ change }) => {
    const { cache, root } = await openCache();
    const blob = new PlayedBlob(SIZE);
    await fetched(cache, blob);
    const { hex } = blob.digest;
    change(path.join(root, 'blobs/sha256', hex.slice(0, 2), hex));
    expect(await readAll(await cache.open(blob.digest, blob.origin()))).toEqual(blob.bytes);
    await vi.waitFor(() => expect(cache.stats()).toMatchObject({ stored: 1, heldBytes: SIZE }));
    expect(blob.reads).toEqual([0, 0]);
  });
});
