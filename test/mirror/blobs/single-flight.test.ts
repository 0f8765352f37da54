import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { TartletError } from '../../../src/errors.ts';
import { gate, openCache, PlayedBlob, readAll } from './played-upstream.ts';

describe('a blob that is not here', () => {
  it('comes once for all who ask for it, each of whom gets every byte (N64)', async () => {
    const { cache, events } = await openCache();
    const blob = new PlayedBlob(1_000_003);
    const contents = await Promise.all(Array.from({ length: 10 }, async () => cache.open(blob.digest, blob.origin())));
    const read = await Promise.all(contents.map(async (content) => readAll(content)));

    expect(read.filter((bytes) => bytes.equals(blob.bytes)).length).toBe(10);
    expect(blob.reads).toEqual([0]);
    await vi.waitFor(() => expect(events.map(({ kind }) => kind)).toEqual(['stored']));
    expect(cache.stats()).toMatchObject({ stored: 1, flights: 0, fetchedBytes: 1_000_003, hits: 0, misses: 10 });

    const again = await cache.find(blob.digest);
    expect(again === undefined ? undefined : (await readAll(again)).equals(blob.bytes)).toBe(true);
    expect(blob.reads).toEqual([0]);
    expect(cache.stats()).toMatchObject({ hits: 1, servedBytes: 11 * 1_000_003 });
  });

  it('goes to its readers as it arrives, each range from what is there', async () => {
    const { cache } = await openCache();
    const blob = new PlayedBlob(100_000);
    const half = gate();
    blob.meddle = async ({ at }) => {
      if (at === 50_000) await half.passed;
      return undefined;
    };
    const whole = await cache.open(blob.digest, blob.origin());
    const range = await cache.open(blob.digest, blob.origin());
    const ahead = await cache.open(blob.digest, blob.origin());
    const first = Buffer.alloc(100);
    expect(await whole.read(first, 0)).toBe(100);
    expect(first).toEqual(blob.bytes.subarray(0, 100));
    expect(await readAll(range, 30_000, 40_000)).toEqual(blob.bytes.subarray(30_000, 40_000));

    const waiting = readAll(ahead, 60_000, 70_000);
    half.open();
    expect(await waiting).toEqual(blob.bytes.subarray(60_000, 70_000));
    expect(await readAll(whole)).toEqual(blob.bytes);
    expect(blob.reads).toEqual([0]);
  });

  it('is not asked for when only its size is wanted', async () => {
    const { cache, root } = await openCache();
    const blob = new PlayedBlob(50_000);
    const content = await cache.open(blob.digest, blob.origin());
    expect(content.size).toBe(50_000);
    await content.close();
    await content.close();
    expect([blob.reads, readdirSync(path.join(root, 'spool')), cache.stats().flights]).toEqual([[], [], 0]);
  });

  it('is there before it is found, and not found before its digest was checked and it is on the disk', async () => {
    const { cache, root } = await openCache();
    const blob = new PlayedBlob(50_000);
    const last = gate();
    blob.meddle = async ({ at }) => {
      if (at === 40_000) await last.passed;
      return undefined;
    };
    const content = await cache.open(blob.digest, blob.origin());
    const reading = readAll(content);
    await vi.waitFor(() => expect(blob.sent).toBe(40_000));
    expect(await cache.find(blob.digest)).toBeUndefined();
    last.open();
    await reading;
    await vi.waitFor(() => expect(cache.stats().stored).toBe(1));
    const { hex } = blob.digest;
    expect(existsSync(path.join(root, 'blobs/sha256', hex.slice(0, 2), hex))).toBe(true);
    expect(readdirSync(path.join(root, 'spool'))).toEqual([]);
  });

  it('is fetched by the next client when the first has gone with its login, from the byte it had come to', async () => {
    const { cache } = await openCache();
    const blob = new PlayedBlob(100_000);
    let hasRefused = false;
    blob.meddle = async ({ at }) => {
      if (at !== 50_000 || hasRefused) return undefined;
      hasRefused = true;
      throw new TartletError('AUTH_DENIED', 'the token has expired');
    };
    const one = await cache.open(blob.digest, blob.origin());
    const other = await cache.open(blob.digest, blob.origin());
    const read = await Promise.all([readAll(one), readAll(other)]);
    expect(read.map((bytes) => bytes.equals(blob.bytes))).toEqual([true, true]);
    expect(blob.reads).toEqual([0, 50_000]);
  });

  it('tells all who wait what the upstream said, and the next try goes on where it broke off', async () => {
    const { cache, events } = await openCache();
    const blob = new PlayedBlob(100_000);
    blob.meddle = async ({ at }) => {
      if (at === 50_000) throw new TartletError('NET_BROKEN', 'the connection broke', { retryable: true });
      return undefined;
    };
    const content = await cache.open(blob.digest, blob.origin());
    await expect(readAll(content)).rejects.toMatchObject({ code: 'NET_BROKEN' });
    await vi.waitFor(() => expect(events).toMatchObject([{ kind: 'broken-off', reason: 'the connection broke' }]));

    blob.meddle = async () => undefined;
    expect(await readAll(await cache.open(blob.digest, blob.origin()))).toEqual(blob.bytes);
    expect(blob.reads).toEqual([0, 50_000]);
  });
});

describe('clients that go', () => {
  it('end nothing while another one waits (N64)', async () => {
    const { cache } = await openCache({ graceMs: 0 });
    const blob = new PlayedBlob(100_000);
    const middle = gate();
    blob.meddle = async ({ at }) => {
      if (at === 20_000) await middle.passed;
      return undefined;
    };
    const dying = await Promise.all(Array.from({ length: 5 }, async () => cache.open(blob.digest, blob.origin())));
    const staying = await cache.open(blob.digest, blob.origin());
    const deaths = dying.map(async (content) => content.read(Buffer.alloc(100), 90_000));
    const reading = readAll(staying);
    await vi.waitFor(() => expect(blob.sent).toBe(20_000));
    for (const content of dying) await content.close();
    // A read that waits ends when its content is closed.
    expect(await Promise.all(deaths)).toEqual([0, 0, 0, 0, 0]);
    middle.open();
    expect(await reading).toEqual(blob.bytes);
    expect(blob.reads).toEqual([0]);
  });

  it('begin nothing any more, when their content was opened too late for them', async () => {
    const { cache } = await openCache({ graceMs: 0 });
    const blob = new PlayedBlob(100_000);
    const content = await cache.open(blob.digest, blob.origin());
    await content.close();
    await content.prepare?.(0, undefined);
    expect(await content.read(Buffer.alloc(100), 0)).toBe(0);
    const other = new PlayedBlob(100_000);
    await readAll(await cache.open(other.digest, other.origin()));
    expect(blob.reads).toEqual([]);
  });

  it('let a blob be finished of which more than half is there', async () => {
    const { cache } = await openCache({ graceMs: 0 });
    const blob = new PlayedBlob(100_000);
    const late = gate();
    blob.meddle = async ({ at }) => {
      if (at === 60_000) await late.passed;
      return undefined;
    };
    const content = await cache.open(blob.digest, blob.origin());
    await content.read(Buffer.alloc(100), 59_000);
    await content.close();
    // Behind the timer of the grace, which is set already.
    await new Promise((resolve) => setTimeout(resolve, 5));
    late.open();
    await vi.waitFor(() => expect(cache.stats().stored).toBe(1));
    expect(blob.reads).toEqual([0]);
  });

  it('stop a flight that has less, whose bytes are not fetched again', async () => {
    const { cache, events } = await openCache({ graceMs: 0 });
    const blob = new PlayedBlob(100_000);
    const early = gate();
    blob.meddle = async ({ at }) => {
      if (at === 20_000) await early.passed;
      return undefined;
    };
    const content = await cache.open(blob.digest, blob.origin());
    await content.read(Buffer.alloc(100), 19_000);
    await content.close();
    await vi.waitFor(() => expect(events.map(({ kind }) => kind)).toEqual(['stopped']));
    blob.meddle = async () => undefined;
    expect(await readAll(await cache.open(blob.digest, blob.origin()))).toEqual(blob.bytes);
    expect(blob.reads).toEqual([0, 20_000]);
  });
});
