import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { arriving, leaving, RateLimit } from '../../../src/registry/request/rate-limit.ts';
import { after, blobOf, clientFor, collect, FakeClock, scripted } from '../world.ts';

/** Long after its beginning. */
function fakeClock(): FakeClock {
  const clock = new FakeClock();
  clock.elapsed = 1_000_000;
  return clock;
}

/** The time that an amount of bytes takes, by a clock that waits for nothing. */
async function elapsed(limit: RateLimit, clock: FakeClock, ...bytes: number[]): Promise<number> {
  const began = clock.elapsed;
  for (const each of bytes) await limit.take('in', each);
  return clock.elapsed - began;
}

async function* pieces(...lengths: number[]): AsyncGenerator<Uint8Array, void, undefined> {
  for (const length of lengths) yield new Uint8Array(length);
}

describe('a limit of so many bytes per second', () => {
  it('lets ten seconds worth of bytes pass in ten seconds, but for the fifth of one that may be caught up with', async () => {
    const clock = fakeClock();
    const limit = RateLimit.of(1_000_000, clock);
    expect(await elapsed(limit, clock, ...Array.from({ length: 100 }, () => 100_000))).toBeCloseTo(9_800, 3);
  });

  it('saves nothing up during a pause', async () => {
    const clock = fakeClock();
    const limit = RateLimit.of(1_000_000, clock);
    await limit.take('in', 500_000);
    clock.elapsed += 3_600_000;
    expect(await elapsed(limit, clock, 1_000_000)).toBeCloseTo(800, 3);
  });

  it('is one for all who share it, and another for each way', async () => {
    const clock = fakeClock();
    const limit = RateLimit.of(1000, clock);
    await Promise.all([limit.take('in', 1000), limit.take('in', 1000)]);
    expect(clock.elapsed).toBeCloseTo(1_001_800, 3);
    await limit.take('out', 1000);
    expect(clock.elapsed).toBeCloseTo(1_002_600, 3);
  });

  it('is one for threads, too', async () => {
    const limit = RateLimit.of(100_000);
    const file = new URL('../../../dist/registry/request/rate-limit.js', import.meta.url).href;
    const code = `import(${JSON.stringify(file)}).then(async ({ RateLimit }) => {
      const { workerData, parentPort } = require('node:worker_threads');
      await RateLimit.join(workerData).take('in', 20_000);
      parentPort.postMessage('taken');
    })`;
    const workers = [1, 2].map(() => new Worker(code, { eval: true, workerData: limit.shared }));
    after(async () => Promise.all(workers.map(async (worker) => worker.terminate())));
    await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
    // Both used up what could be caught up with, and 20,000 bytes more: this one waits for them and for its own.
    const began = performance.now();
    await limit.take('in', 30_000);
    expect(performance.now() - began).toBeGreaterThan(250);
  });

  it('ends a wait by the signal', async () => {
    const reason = new Error('enough');
    const controller = new AbortController();
    const waiting = RateLimit.of(1).take('in', 1_000_000, controller.signal);
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
  });

  it.each([0, 0.5, -1, Number.NaN, Number.POSITIVE_INFINITY])('of %s is refused', (rate) => {
    expect(() => RateLimit.of(rate)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });

  it.each([
    [1, 4096],
    [1_000_000, 50_000],
    [1_000_000_000, 262_144],
  ])('of %i bytes per second grants %i at once', (rate, piece) => {
    expect(RateLimit.of(rate).pieceBytes).toBe(piece);
  });

  it('waits after each piece that arrives, and cuts pieces that leave', async () => {
    const clock = fakeClock();
    const limit = RateLimit.of(100_000, clock);
    const arrived = arriving(pieces(50_000, 50_000), limit, undefined);
    expect((await arrived.next()).value).toHaveLength(50_000);
    expect(clock.elapsed).toBeCloseTo(1_000_300, 3);
    expect((await arrived.next()).value).toHaveLength(50_000);
    expect(clock.elapsed).toBeCloseTo(1_000_800, 3);
    const left: number[] = [];
    for await (const piece of leaving(pieces(11_000, 10), limit, undefined)) left.push(piece.length);
    expect(left).toEqual([5000, 5000, 1000, 10]);
  });
});

describe('a client with a limit', () => {
  /** Half a second at 2 MB/s, without the fifth of a second that may be caught up with. */
  const LIMIT = { bytesPerSecond: 2_000_000, size: 1_400_000, atLeastMs: 500 };

  async function lasts(work: () => Promise<unknown>): Promise<number> {
    const began = performance.now();
    await work();
    return performance.now() - began;
  }

  it.each([
    ['straight from the socket', true],
    ['by the library', false],
  ])('reads a blob %s no faster', async (_, transientChunks) => {
    const blob = blobOf(LIMIT.size);
    const registry = await scripted({ [`GET /v2/a/b/blobs/${blob.digest.toString()}`]: { body: blob.bytes } });
    const { client } = clientFor(registry, { rateLimit: RateLimit.of(LIMIT.bytesPerSecond) });
    let read = 0;
    const took = await lasts(async () => {
      for await (const piece of client.blob(blob, { transientChunks })) read += piece.length;
    });
    expect(read).toBe(LIMIT.size);
    expect(took).toBeGreaterThan(LIMIT.atLeastMs);
  });

  it('shares it between blobs that come at the same time', async () => {
    const blob = blobOf(LIMIT.size / 2);
    const registry = await scripted({ [`GET /v2/a/b/blobs/${blob.digest.toString()}`]: { body: blob.bytes } });
    const { client } = clientFor(registry, { rateLimit: RateLimit.of(LIMIT.bytesPerSecond) });
    const took = await lasts(async () => Promise.all([1, 2].map(async () => collect(client.blob(blob)))));
    expect(took).toBeGreaterThan(LIMIT.atLeastMs);
  });

  it('sends a blob no faster', async () => {
    const blob = blobOf(LIMIT.size);
    const registry = await scripted({
      'POST /v2/a/b/blobs/uploads/': { status: 202, headers: { location: '/v2/a/b/blobs/uploads/1' } },
      'PUT /v2/a/b/blobs/uploads/1': { status: 201 },
    });
    const { client } = clientFor(registry, { rateLimit: RateLimit.of(LIMIT.bytesPerSecond) });
    const source = { ...blob, open: (from: number, to: number) => blob.bytes.subarray(from, to) };
    expect(await lasts(async () => client.uploadBlob(source))).toBeGreaterThan(LIMIT.atLeastMs);
    expect(registry.requests.at(-1)?.body).toHaveLength(LIMIT.size);
  });

  it('does not take its own waiting for a server that trickles (N69)', async () => {
    const blob = blobOf(60_000);
    const registry = await scripted({ [`GET /v2/a/b/blobs/${blob.digest.toString()}`]: { body: blob.bytes } });
    const { client, clock } = clientFor(registry, {
      rateLimit: RateLimit.of(100_000),
      change: { trickleMs: 50, trickleBytes: 1_000_000 },
    });
    expect(await collect(client.blob(blob))).toHaveLength(60_000);
    expect(clock.slept).toEqual([]);
  });
});
