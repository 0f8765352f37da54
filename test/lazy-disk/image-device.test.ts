import { truncateSync, writeFileSync } from 'node:fs';
import { expect, it, onTestFinished, vi } from 'vitest';
import type { ByteRange } from '../../src/fs/disk/read-range.ts';
import { Staging } from '../../src/home/staging.ts';
import { ImageDevice } from '../../src/lazy-disk/image-device.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import type { BlockDevice } from '../../src/nbd/block-device.ts';
import { NbdServer } from '../../src/nbd/nbd-server.ts';
import { parseManifest, requireImage } from '../../src/oci/manifest.ts';
import { type FlatImage, parseTartImage } from '../../src/oci/tart-image.ts';
import { pull } from '../../src/transfer/pull/pull.ts';
import { CHUNK, eventually, HeldPull, image, NUMBERS } from '../support/held-pull.ts';
import { freshSession } from '../support/home.ts';
import { startStaticRegistry } from '../support/static-registry.ts';

const SIGNAL = new AbortController().signal;

function understood(): FlatImage {
  const parsed = parseTartImage(requireImage(parseManifest(image.manifest), 'the image'), 'the image');
  if (parsed.layout !== 'flat') throw new Error('stacked');
  return parsed;
}

function deviceOf(
  { session, name }: Pick<HeldPull, 'session' | 'name'>,
  zeros: readonly number[] = [],
  onLate: (waitedMs: number) => void = () => undefined,
): ImageDevice {
  const parsed = understood();
  const device = new ImageDevice(session, name, parsed, {
    zeros: new Set(zeros.map((at) => parsed.base.chunks[at]?.contentDigest.toString() ?? '')),
    onLate,
  });
  onTestFinished(async () => device.close());
  return device;
}

async function bytesOf(device: ImageDevice, offset: number, length: number): Promise<Buffer> {
  await device.ready({ offset, length }, SIGNAL);
  return Buffer.from(await device.read({ offset, length }));
}

it('reads what was verified while the image comes, for two at once, and each chunk is fetched once', async () => {
  const held = await HeldPull.begin();
  const devices = [deviceOf(held), deviceOf(held)];
  const reads = devices.map(async (device) => bytesOf(device, 4 * CHUNK - 7, 14));
  await held.letGo(0);
  await eventually(() => [3, 4].every((at) => held.asked.includes(at))).toBe(true);
  await held.letGo(3, 4);
  for (const bytes of await Promise.all(reads)) {
    expect(bytes.equals(image.disk.subarray(4 * CHUNK - 7, 4 * CHUNK + 7))).toBe(true);
  }
  await held.letGo(...NUMBERS.filter((at) => ![0, 3, 4].includes(at)));
  expect(await held.outcome).toMatchObject({ status: 'pulled' });
  for (const device of devices) {
    expect((await bytesOf(device, 0, image.disk.length)).equals(image.disk)).toBe(true);
  }
  expect(held.asked.toSorted((a, b) => a - b)).toStrictEqual(NUMBERS);
});

it('goes on with the next command that brings the image, and fetches nothing of it twice (P39)', async () => {
  const held = await HeldPull.begin();
  const device = deviceOf(held);
  await held.letGo(0);
  expect((await bytesOf(device, 5, 10)).equals(image.disk.subarray(5, 15))).toBe(true);
  const waiting = bytesOf(device, 5 * CHUNK, 10);
  await eventually(() => held.asked.includes(5)).toBe(true);
  await held.stop();
  // What was verified can be read while no command brings the image.
  expect((await bytesOf(device, 100, 10)).equals(image.disk.subarray(100, 110))).toBe(true);
  held.asked.length = 0;
  held.pull();
  await eventually(() => held.asked.includes(5)).toBe(true);
  await held.letGo(5);
  expect((await waiting).equals(image.disk.subarray(5 * CHUNK, 5 * CHUNK + 10))).toBe(true);
  expect(held.asked).not.toContain(0);
  await held.letGo(...NUMBERS.filter((at) => at !== 0 && at !== 5));
  await held.outcome;
});

it('reads an image that is in the cache, with no command that brings it', async () => {
  const registry = await startStaticRegistry({ latest: image });
  const session = freshSession();
  const name = RemoteName.parse(`${registry.address}/org/vm@${image.digest}`);
  await pull(session, name);
  expect((await bytesOf(deviceOf({ session, name }), 0, image.disk.length)).equals(image.disk)).toBe(true);
});

it('knows holes without any network', async () => {
  const device = deviceOf(new HeldPull(), [1, 2]);
  await device.ready({ offset: CHUNK, length: 2 * CHUNK }, SIGNAL);
  expect(await device.extents({ offset: CHUNK - 10, length: 2 * CHUNK + 30 })).toStrictEqual([
    { kind: 'data', offset: CHUNK - 10, length: 10 },
    { kind: 'hole', offset: CHUNK, length: 2 * CHUNK },
    { kind: 'data', offset: 3 * CHUNK, length: 20 },
  ]);
});

it('tells after a minute that something is waited for, once however much that is, and anew when some of it came (N70)', async () => {
  const late: number[] = [];
  const held = await HeldPull.begin();
  const device = deviceOf(held, [], (waitedMs) => late.push(waitedMs));
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const early = device.ready({ offset: 0, length: 1 }, SIGNAL);
  const others = [1, 2].map(async (at) => device.ready({ offset: at * CHUNK, length: 1 }, SIGNAL));
  vi.advanceTimersByTime(59_999);
  expect(late).toStrictEqual([]);
  vi.advanceTimersByTime(600_000);
  expect(late).toStrictEqual([60_000]);
  vi.useRealTimers();
  await held.letGo(0);
  await early;
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const last = device.ready({ offset: 3 * CHUNK, length: 1 }, SIGNAL);
  vi.advanceTimersByTime(60_000);
  expect(late).toStrictEqual([60_000, 60_000]);
  vi.useRealTimers();
  await held.letGo(...NUMBERS.filter((at) => at !== 0));
  await Promise.all([...others, last, held.outcome]);
});

it('stops waiting when it is closed, and when its caller does not want it any more', async () => {
  const device = deviceOf(new HeldPull());
  const unwanted = new AbortController();
  const one = device.ready({ offset: 0, length: 1 }, unwanted.signal);
  const other = device.ready({ offset: 0, length: 1 }, SIGNAL);
  unwanted.abort(new Error('unwanted'));
  await expect(one).rejects.toThrow(/aborted|unwanted|closed/);
  await device.close();
  await expect(other).rejects.toThrow(/aborted|unwanted|closed/);
});

it('asks the process that brings a large image for 4 GiB in requests that can say so (S98)', async () => {
  const GIB = 1024 ** 3;
  const session = freshSession();
  const parsed = understood();
  const [first] = parsed.base.chunks;
  if (first === undefined) throw new Error('no chunk');
  const chunks = Array.from({ length: 5 }, (_, index) => ({ ...first, index, offset: index * GIB, size: GIB }));
  const large: FlatImage = { ...parsed, base: { ...parsed.base, size: 5 * GIB, chunks } };
  const staging = await Staging.open(session.home, large.manifest.digest);
  truncateSync(writtenFile(staging.pathOf('disk.img')), large.base.size);
  const ready: ByteRange[] = [];
  const filling: BlockDevice = {
    size: large.base.size,
    extents: async (range) => Promise.resolve([{ ...range, kind: 'data' }]),
    ready: async (range) => {
      ready.push(range);
      return Promise.resolve();
    },
    read: async () => Promise.reject(new Error('nothing is read here')),
  };
  const server = await NbdServer.listen(staging.pathOf('.fill.sock'), [{ name: '', device: filling }]);
  onTestFinished(async () => server.close());
  const name = RemoteName.parse(`127.0.0.1:1/org/vm@${image.digest}`);
  const device = new ImageDevice(session, name, large, { zeros: new Set(), onLate: () => undefined });
  onTestFinished(async () => device.close());
  await device.ready({ offset: 7, length: 2 ** 32 - 1 }, SIGNAL);
  expect(ready.reduce((sum, { length }) => sum + length, 0)).toBe(4 * GIB + 1024 * 1024);
});

function writtenFile(file: string): string {
  writeFileSync(file, '');
  return file;
}
