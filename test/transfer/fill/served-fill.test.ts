import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { CHUNK, eventually, HeldPull, image, NUMBERS } from '../../support/held-pull.ts';

const CACHE = 5;

it('fetches what another process waits for before the rest, though all places are taken, each chunk once', async () => {
  const held = await HeldPull.begin();
  const [one, other] = [await held.reader(), await held.reader()];
  one.send(CACHE, 1n, { offset: 4 * CHUNK + 5, length: 10 });
  await eventually(() => held.asked).toStrictEqual([0, 4]);
  other.send(CACHE, 2n, { offset: 3 * CHUNK - 5, length: 2 * CHUNK });
  await eventually(() => held.asked.toSorted((a, b) => a - b)).toStrictEqual([0, 2, 3, 4]);
  await held.letGo(4);
  expect(await one.answer()).toMatchObject({ cookie: 1n, errno: 0 });
  await held.letGo(2, 3);
  expect(await other.answer()).toMatchObject({ cookie: 2n, errno: 0 });
  // They read the file, which is verified there.
  const disk = readFileSync(`${held.staging}/disk.img`);
  expect(disk.subarray(2 * CHUNK, 5 * CHUNK).equals(image.disk.subarray(2 * CHUNK, 5 * CHUNK))).toBe(true);
  await held.letGo(0, 1, 5);
  expect(await held.outcome).toMatchObject({ status: 'pulled' });
  expect(held.asked.toSorted((a, b) => a - b)).toStrictEqual(NUMBERS);
});

it('lets other processes read nothing of a chunk before its digest matched (C35)', async () => {
  const held = await HeldPull.begin();
  const client = await held.reader();
  client.send(0, 1n, { offset: 5 * CHUNK, length: 100 });
  client.send(3, 2n);
  // The flush behind it is answered, and the read is not.
  expect(await client.answer()).toMatchObject({ cookie: 2n });
  await held.letGo(5);
  const { cookie, data } = await client.answer(100);
  expect(cookie).toBe(1n);
  expect(data.equals(image.disk.subarray(5 * CHUNK, 5 * CHUNK + 100))).toBe(true);
  await held.letGo(0, 1, 2, 3, 4);
  await held.outcome;
});

it('ends the conversation, and publishes no socket, when the image is whole', async () => {
  const held = await HeldPull.begin();
  const client = await held.reader();
  await held.letGo(...NUMBERS);
  const { digest } = await held.outcome;
  await client.ended;
  expect(existsSync(held.staging)).toBe(false);
  const [registry = ''] = readdirSync(held.session.home.imagesDirectory);
  const files = readdirSync(`${held.session.home.imagesDirectory}/${registry}/org/vm/${digest.toString()}`);
  expect(files).not.toContain('.fill.sock');
});

it('waits no more for what a process wanted that has gone', async () => {
  const held = await HeldPull.begin();
  const client = await held.reader();
  client.send(CACHE, 1n, { offset: 4 * CHUNK, length: 1 });
  await eventually(() => held.asked).toStrictEqual([0, 4]);
  client.stream.destroy();
  const next = await held.reader();
  next.send(3, 2n);
  await next.answer();
  await held.letGo(0);
  // What is under way is finished; what comes next is in the order of the disk.
  await eventually(() => held.asked).toStrictEqual([0, 4, 1]);
  await held.letGo(4, 1, 2, 3, 5);
  expect(await held.outcome).toMatchObject({ status: 'pulled' });
});
