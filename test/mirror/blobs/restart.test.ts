import { appendFileSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { DataDirectory } from '../../../src/server/store/data-directory.ts';
import { gate, openCache, PlayedBlob, readAll } from './played-upstream.ts';

const SIZE = 100_000;

/** A cache that is left in the middle of a blob, as a process that is killed leaves it. */
async function leftAt(position: number): Promise<{ root: string; blob: PlayedBlob; spool: string }> {
  const { cache, root } = await openCache();
  const blob = new PlayedBlob(SIZE);
  blob.meddle = async ({ at }) => (at === position ? gate().passed.then(() => undefined) : undefined);
  const content = await cache.open(blob.digest, blob.origin());
  onTestFinished(async () => content.close());
  await content.read(Buffer.alloc(10), position - 10);
  const [name = ''] = readdirSync(path.join(root, 'spool'));
  blob.meddle = async () => undefined;
  return { root, blob, spool: path.join(root, 'spool', name) };
}

it('a new process finds what is whole, and goes on with what was begun (P36)', async () => {
  const { root, blob } = await leftAt(60_000);
  const { cache } = await openCache({ directory: new DataDirectory(root) });
  expect(await readAll(await cache.open(blob.digest, blob.origin()))).toEqual(blob.bytes);
  await vi.waitFor(() => expect(cache.stats().stored).toBe(1));
  expect(blob.reads).toEqual([0, 60_000]);

  const { cache: third } = await openCache({ directory: new DataDirectory(root) });
  const found = await third.find(blob.digest);
  expect(found === undefined ? undefined : await readAll(found)).toEqual(blob.bytes);
});

it('what was there already, but for the end of the process, is stored without the upstream (P36)', async () => {
  const { root, blob, spool } = await leftAt(60_000);
  appendFileSync(spool, blob.bytes.subarray(60_000));
  const { cache } = await openCache({ directory: new DataDirectory(root) });
  expect(await readAll(await cache.open(blob.digest, blob.origin()))).toEqual(blob.bytes);
  expect(blob.reads).toEqual([0]);
});

it.each([
  {
    what: 'lost its bytes in a power cut (P29)',
    damage: (spool: string) => writeFileSync(spool, Buffer.alloc(60_000)),
  },
  { what: 'has more than the blob (D35)', damage: (spool: string) => appendFileSync(spool, Buffer.alloc(SIZE)) },
])(
  'a begun blob that $what is never served as whole, and is fetched anew at the latest by the next try',
  async ({ damage }) => {
    const { root, blob, spool } = await leftAt(60_000);
    damage(spool);
    const { cache } = await openCache({ directory: new DataDirectory(root) });
    const tries = [];
    for (let count = 0; count < 2; count += 1)
      tries.push(await readAll(await cache.open(blob.digest, blob.origin())).catch(() => 'broken'));
    expect(tries.filter((each) => each !== 'broken' && !blob.bytes.equals(each as Buffer))).toEqual([]);
    expect(tries[1]).toEqual(blob.bytes);
  },
);

it('what lies in the directory and is no spool is removed', async () => {
  const { root } = await openCache();
  writeFileSync(path.join(root, 'spool', 'something'), 'else');
  await openCache({ directory: new DataDirectory(root) });
  expect(readdirSync(path.join(root, 'spool'))).toEqual([]);
});

it('the order of use is known to the next process', async () => {
  const { cache, root } = await openCache();
  const blobs = [new PlayedBlob(SIZE), new PlayedBlob(SIZE), new PlayedBlob(SIZE)];
  for (const [index, blob] of blobs.entries()) {
    await readAll(await cache.open(blob.digest, blob.origin()));
    await vi.waitFor(() => expect(cache.stats().stored).toBe(index + 1));
    const { hex } = blob.digest;
    // The first one was used last.
    utimesSync(path.join(root, 'blobs/sha256', hex.slice(0, 2), hex), 1000 - index, 1000 - index);
  }
  const { cache: next } = await openCache({ directory: new DataDirectory(root), budgetBytes: SIZE });
  const there = await Promise.all(blobs.map(async ({ digest }) => next.find(digest)));
  expect(there.map((content) => content !== undefined)).toEqual([true, false, false]);
  for (const content of there) await content?.close();
});

it('a stored blob that the disk changes between two processes is not given as whole, and is fetched again (D35)', async () => {
  const { cache, root } = await openCache();
  const blob = new PlayedBlob(SIZE);
  await readAll(await cache.open(blob.digest, blob.origin()));
  await vi.waitFor(() => expect(cache.stats().stored).toBe(1));
  const { hex } = blob.digest;
  const wrong = Buffer.from(blob.bytes);
  wrong[SIZE / 2] = (wrong[SIZE / 2] ?? 0) ^ 1;
  writeFileSync(path.join(root, 'blobs/sha256', hex.slice(0, 2), hex), wrong);

  const { cache: next } = await openCache({ directory: new DataDirectory(root) });
  // A client that goes before the end leaves it to the next one.
  const gone = await next.find(blob.digest);
  await gone?.read(Buffer.alloc(10), 0);
  await gone?.close();
  const other = await next.find(blob.digest);
  const found = await next.find(blob.digest);
  if (found === undefined || other === undefined) throw new Error('it is not here');
  await expect(readAll(found)).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
  await expect(readAll(other)).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
  expect(await readAll(await next.open(blob.digest, blob.origin()))).toEqual(blob.bytes);
  expect(blob.reads).toEqual([0, 0]);
});
