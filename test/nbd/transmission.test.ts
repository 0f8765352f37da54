import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, it, onTestFinished, vi } from 'vitest';
import { MemoryDevice, patternBytes } from '../support/memory-device.ts';
import { NbdClient } from '../support/nbd-client.ts';

const MIB = 1024 * 1024;

const PATTERN = patternBytes(4 * MIB + 100, 'sparse');

/** Data, a hole from 1 MiB to 3 MiB, data up to 4 MiB and a half block. */
function sparseDevice(): MemoryDevice {
  const bytes = Buffer.from(PATTERN);
  bytes.fill(0, MIB, 3 * MIB);
  return new MemoryDevice(bytes);
}

async function open(device: MemoryDevice, structured: boolean): Promise<NbdClient> {
  const client = await NbdClient.connect([{ name: 'disk', device }]);
  onTestFinished(async () => {
    client.stream.destroy();
    await client.ended;
  });
  await client.choose('disk', { structured });
  return client;
}

it.each([
  ['a byte', 5, 1],
  ['the whole device', 0, 4 * MIB + 100],
  ['across the edge of the hole', MIB - 10, 20],
  ['the last byte', 4 * MIB + 99, 1],
])('reads %s by simple and by structured replies', async (_, offset, length) => {
  const device = sparseDevice();
  const expected = device.bytes.subarray(offset, offset + length);
  for (const structured of [false, true]) {
    const client = await open(device, structured);
    client.send(0, 77n, { offset, length });
    const answer = await client.answer(length);
    expect(answer.cookie).toBe(77n);
    expect(answer.errno).toBe(0);
    expect(answer.data.equals(expected)).toBe(true);
  }
});

it('tells zeros instead of sending them, and data in pieces of 256 KiB', async () => {
  const client = await open(sparseDevice(), true);
  client.send(0, 1n, { offset: MIB / 2, length: 3 * MIB });
  const { chunks } = await client.answer();
  expect(chunks).toStrictEqual([
    'data@524288+262144',
    'data@786432+262144',
    'hole@1048576+2097152',
    'data@3145728+262144',
    'data@3407872+262144',
  ]);
});

it('sends data in one piece to a client that wants no fragments', async () => {
  const device = sparseDevice();
  const client = await open(device, true);
  client.send(0, 1n, { offset: MIB / 2, length: 3 * MIB, flags: 4 });
  const { chunks, data } = await client.answer();
  expect(chunks).toStrictEqual(['data@524288+3145728']);
  expect(data.equals(device.bytes.subarray(MIB / 2, MIB / 2 + 3 * MIB))).toBe(true);
});

it('tells extents, all or the first', async () => {
  const client = await open(sparseDevice(), true);
  client.send(7, 1n, { offset: 4096, length: 4 * MIB - 4096 });
  expect((await client.answer()).chunks).toStrictEqual([
    'extent 1044480 flags 0',
    'extent 2097152 flags 3',
    'extent 1048576 flags 0',
  ]);
  client.send(7, 2n, { offset: 4096, length: MIB, flags: 8 });
  expect((await client.answer()).chunks).toStrictEqual(['extent 1044480 flags 0']);
});

it.each<[string, number, { offset?: number; length?: number; flags?: number }, number]>([
  ['a write', 1, { length: 4096 }, 1],
  ['a write of nothing', 1, { length: 0 }, 1],
  ['a trim', 4, { length: 4096 }, 1],
  ['a write of zeroes', 6, { length: 4096 }, 1],
  ['a read of nothing', 0, { length: 0 }, 22],
  ['a read beyond the end', 0, { offset: 4 * MIB, length: 101 }, 22],
  ['a read of more than 32 MiB', 0, { length: 32 * MIB + 1 }, 22],
  ['a read with a flag that does not exist', 0, { length: 1, flags: 0x8000 }, 22],
  ['a cache beyond the end', 5, { offset: 4 * MIB + 100, length: 1 }, 22],
  ['extents beyond the end', 7, { length: 4 * MIB + 101 }, 22],
  ['a resize', 8, { length: 1 }, 22],
  ['a flush', 3, {}, 0],
  ['a cache', 5, { length: 4096 }, 0],
])('answers %s by a number, and goes on', async (_, type, what, errno) => {
  const device = sparseDevice();
  for (const structured of [false, true]) {
    const client = await open(device, structured);
    client.send(type, 3n, what);
    if (type === 1) client.stream.write(Buffer.alloc(what.length ?? 0, 0xff));
    expect(await client.answer()).toMatchObject({ cookie: 3n, errno });
    client.send(0, 4n, { length: 8 });
    expect((await client.answer(8)).data.equals(device.bytes.subarray(0, 8))).toBe(true);
  }
});

it('does not write what a client sends (S98)', async () => {
  const device = sparseDevice();
  const before = Buffer.from(device.bytes);
  const client = await open(device, false);
  client.send(1, 3n, { length: 3 * MIB });
  client.stream.write(Buffer.alloc(3 * MIB, 0xff));
  expect((await client.answer()).errno).toBe(1);
  expect(device.bytes.equals(before)).toBe(true);
});

it('answers in the order in which answers are there', async () => {
  const device = sparseDevice();
  let release = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  device.ready = async ({ offset }) => (offset === 0 ? gate : undefined);
  const client = await open(device, true);
  client.send(0, 1n, { offset: 0, length: 10 });
  client.send(0, 2n, { offset: 4096, length: 10 });
  client.send(3, 3n);
  const answered = new Set([(await client.answer()).cookie, (await client.answer()).cookie]);
  expect(answered).toStrictEqual(new Set([2n, 3n]));
  release();
  expect((await client.answer()).cookie).toBe(1n);
});

it('has at most 64 requests of a connection under way (S98)', async () => {
  const device = sparseDevice();
  let waiting = 0;
  let release = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  device.ready = async () => {
    waiting += 1;
    return gate;
  };
  const client = await open(device, true);
  for (let cookie = 0n; cookie < 200n; cookie += 1n) client.send(0, cookie, { length: 1 });
  await expect.poll(() => waiting).toBe(64);
  await new Promise((resolve) => setImmediate(resolve));
  expect(waiting).toBe(64);
  release();
  const seen = new Set<bigint>();
  for (let left = 200; left > 0; left -= 1) seen.add((await client.answer()).cookie);
  expect(seen.size).toBe(200);
});

it('answers what was asked before a client leaves', async () => {
  const device = sparseDevice();
  const client = await open(device, true);
  client.send(0, 1n, { length: 3 });
  client.send(2, 2n);
  expect((await client.answer()).data.equals(device.bytes.subarray(0, 3))).toBe(true);
  await expect(client.ended).resolves.toBeUndefined();
});

it('stops waiting for a client that has gone (S98)', async () => {
  const device = sparseDevice();
  let stopped = 0;
  let waiting = 0;
  device.ready = async (_, signal) =>
    new Promise((__, reject) => {
      waiting += 1;
      signal.addEventListener('abort', () => {
        stopped += 1;
        reject(signal.reason as Error);
      });
    });
  const client = await open(device, true);
  for (const cookie of [1n, 2n, 3n]) client.send(0, cookie, { length: 1 });
  await expect.poll(() => waiting).toBe(3);
  client.stream.destroy();
  await client.ended;
  expect(stopped).toBe(3);
});

it('tells an error of the device, and goes on', async () => {
  const device = sparseDevice();
  device.brokenFrom = 100;
  for (const structured of [false, true]) {
    const client = await open(device, structured);
    client.send(0, 1n, { offset: 96, length: 8 });
    expect(await client.answer(8)).toMatchObject({ cookie: 1n, errno: 5 });
    client.send(0, 2n, { offset: 0, length: 8 });
    expect(await client.answer(8)).toMatchObject({ cookie: 2n, errno: 0 });
  }
});

it('tells an error in the middle of a structured reply, and ends a simple one there', async () => {
  const device = sparseDevice();
  device.brokenFrom = 600_000;
  const structured = await open(device, true);
  structured.send(0, 1n, { length: MIB });
  expect(await structured.answer()).toMatchObject({ errno: 5, chunks: ['data@0+262144', 'data@262144+262144'] });
  const simple = await open(device, false);
  simple.send(0, 1n, { length: MIB });
  await expect(simple.answer(MIB)).rejects.toThrow('the client has gone');
  await simple.ended;
});

it.each([
  ['a write of more than 32 MiB', { type: 1, length: 32 * MIB + 1 }],
  ['something that is no request', undefined],
])('ends the connection for %s', async (_, what) => {
  const client = await open(sparseDevice(), true);
  if (what === undefined) client.stream.write(Buffer.alloc(28, 0x25));
  else client.send(what.type, 1n, what);
  await expect(client.ended).resolves.toBeUndefined();
});

it.each([true, false])(
  'keeps eight pieces for a client that never reads its answers, and answers it when it does (S98), structured: %s',
  async (structured) => {
    const device = new MemoryDevice(patternBytes(4 * MIB, 'unread'));
    let isReady = 0;
    device.ready = async () => {
      isReady += 1;
      return Promise.resolve();
    };
    let read = 0;
    const reading = device.read.bind(device);
    device.read = async (range) => {
      read += 1;
      return reading(range);
    };
    const client = await open(device, structured);
    for (let at = 0; at < 64; at += 1) client.send(0, BigInt(at), { offset: 0, length: 4 * MIB });
    await vi.waitUntil(() => isReady === 64, { timeout: 20_000 });
    // What could be read without waiting for the client is.
    for (let turn = 0; turn < 500; turn += 1) await nextTurn();
    expect(read).toBeGreaterThanOrEqual(8);
    expect(read).toBeLessThan(24);
    for (let at = 0; at < 64; at += 1) expect((await client.answer(4 * MIB)).errno).toBe(0);
  },
);
