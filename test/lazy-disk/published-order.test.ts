import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { knownBootOrder, publishKnownOrder } from '../../src/lazy-disk/known-order.ts';
import { Digest } from '../../src/names/digest.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import type { Session } from '../../src/session/session.ts';
import { pull } from '../../src/transfer/pull/pull.ts';
import { ArrivingVm, MACHINE_THAT_WROTE_NOTHING, sessionWithQemuImg } from '../support/arriving-vm.ts';
import { eventually } from '../support/held-pull.ts';
import { configJson, freshSession } from '../support/home.ts';
import { patternBytes } from '../support/memory-device.ts';
import { type MeddlingRegistry, startMeddlingRegistry } from '../support/meddling-registry.ts';
import { plantInRegistry } from '../support/planted-image.ts';
import { send } from '../support/static-registry.ts';
import { tinyImage } from '../support/tart-image.ts';

const MIB = 1024 * 1024;
const COUNT = 10;
const image = tinyImage({
  chunks: Array.from({ length: COUNT }, (_, at) => patternBytes(MIB, `chunk ${at}`)),
  config: Buffer.from(configJson()),
});
const BLOBS = [...image.blobs.keys()].slice(3);
/** So many are fetched at once. */
const AT_ONCE = 4;

async function withImage(): Promise<{ registry: MeddlingRegistry; name: RemoteName }> {
  const registry = await startMeddlingRegistry();
  await plantInRegistry(registry, 'org/vm', 'latest', image);
  return { registry, name: RemoteName.parse(`${registry.at}/org/vm:latest`) };
}

/** A machine on which the image is cached, with what was recorded there. */
async function recorded(name: RemoteName, order: readonly number[]): Promise<Session> {
  const session = freshSession();
  await pull(session, name);
  const { directory } = await session.images.require(name, 'read');
  const touched = order.map((unit) => [unit, 1]);
  writeFileSync(`${directory.path}/.boot-order.json`, JSON.stringify({ version: 1, touched }));
  return session;
}

/** Which blobs of the disk a run asks for first, those at once that are asked for at once: none comes before. */
async function firstAsked(registry: MeddlingRegistry, vm: ArrivingVm): Promise<number[]> {
  const asked: number[] = [];
  const held: (() => void)[] = [];
  registry.meddle = (request, response) => {
    const at = request.method === 'GET' ? BLOBS.findIndex((digest) => request.url?.includes(digest)) : -1;
    if (at < 0) return false;
    asked.push(at);
    held.push(() => send(request, response, image.blobs.get(BLOBS[at] ?? ''), 'application/octet-stream'));
    if (asked.length >= AT_ONCE) for (const letGo of held.splice(0)) letGo();
    return true;
  };
  const arrival = await vm.begin();
  arrival.begun(MACHINE_THAT_WROTE_NOTHING);
  await eventually(() => vm.notes.at(-1)).toContain('the disk has arrived');
  registry.meddle = undefined;
  return asked.slice(0, AT_ONCE).toSorted((one, other) => one - other);
}

it('lets a VM of another machine get first what was touched first, by a published order', async () => {
  const { registry, name } = await withImage();
  const session = sessionWithQemuImg();
  expect(await firstAsked(registry, await ArrivingVm.clone(session, name.toString()))).toStrictEqual([0, 1, 2, 3]);
  await publishKnownOrder(await recorded(name, [9, 4, 7, 5, 0]), name);
  const other = await ArrivingVm.clone(sessionWithQemuImg(), name.toString());
  expect(await firstAsked(registry, other)).toStrictEqual([4, 5, 7, 9]);
  expect(existsSync(`${other.directory}/.lazy-order.json`)).toBe(false);
});

it('brings the image all the same where the order is of nothing that there is (S99)', async () => {
  const { registry, name } = await withImage();
  const publisher = await recorded(name, [9, 8, 7, 6]);
  await publishKnownOrder(publisher, name);
  const session = sessionWithQemuImg();
  const vm = await ArrivingVm.clone(session, name.toString());
  writeFileSync(`${vm.directory}/.lazy-order.json`, '{"version":1,"touched":[[4000000,9],[9,9000000],[9,1]]}');
  expect(await firstAsked(registry, vm)).toStrictEqual([0, 1, 2, 9]);
  const { directory } = await session.images.require(name.withDigest(Digest.parse(image.digest)), 'read');
  expect(readFileSync(`${directory.path}/disk.img`).equals(image.disk)).toBe(true);
});

it.each([
  ['does not answer', 'waits'],
  ['answers with a page', '<html>'],
  ['answers with an error', 503],
  ['wants to be asked later', 429],
] as const)('clones without an order where the registry %s to the question for it (S99)', async (_, answer) => {
  const { registry, name } = await withImage();
  await publishKnownOrder(await recorded(name, [9, 8]), name);
  registry.meddle = ({ url = '' }, response) => {
    if (!url.includes('/referrers/')) return false;
    if (answer === '<html>') response.writeHead(200, { 'content-type': 'text/html' }).end(answer);
    else if (answer !== 'waits') response.writeHead(answer, { 'retry-after': '60' }).end();
    return true;
  };
  registry.requests.length = 0;
  const vm = await ArrivingVm.clone(sessionWithQemuImg(), name.toString());
  expect(existsSync(`${vm.directory}/.lazy-order.json`)).toBe(false);
  expect(registry.requests.filter((line) => line.includes('/referrers/'))).toHaveLength(1);
});

it('is known on the machine that recorded it, and published once', async () => {
  const { name } = await withImage();
  const session = await recorded(name, [9, 4, 5]);
  const layers = {
    touched: { count: 3, bytes: sizeOf([9, 4, 5]) },
    all: { count: COUNT, bytes: sizeOf(BLOBS.map((__, at) => at)) },
  };
  const known = { order: [9, 4, 5], bytes: 3 * MIB, diskBytes: COUNT * MIB, layers };
  expect(await knownBootOrder(session, name)).toMatchObject({ ...known, from: 'recorded' });
  const first = await publishKnownOrder(session, name);
  expect(first).toMatchObject({ ...known, status: 'published' });
  const again = await publishKnownOrder(session, name);
  expect(again).toMatchObject({ status: 'present' });
  expect(again.referrer.equals(first.referrer)).toBe(true);
  // Where nothing was recorded, the published one is known, whether the image is cached or not.
  const elsewhere = freshSession();
  const created = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string;
  expect(await knownBootOrder(elsewhere, name)).toMatchObject({ ...known, from: 'published', created });
  await pull(elsewhere, name);
  expect(await knownBootOrder(elsewhere, name)).toMatchObject({ ...known, from: 'published' });
});

it('is known of a VM whose disk has not arrived yet, and can be published then', async () => {
  const { registry, name } = await withImage();
  const session = sessionWithQemuImg();
  const vm = await ArrivingVm.clone(session, name.toString());
  await expect(publishKnownOrder(session, name)).rejects.toMatchObject({
    code: 'NOT_FOUND',
    facts: { next: { kind: 'record-boot-order' } },
  });
  writeFileSync(`${vm.directory}/.lazy-touched.json`, '{"version":1,"touched":[[3,2]]}');
  expect((await publishKnownOrder(session, name)).order).toStrictEqual([3, 4]);
  registry.meddle = undefined;
  expect((await knownBootOrder(freshSession(), name)).order).toStrictEqual([3, 4]);
});

it('is not published beside an image that the registry does not have', async () => {
  const { name } = await withImage();
  const session = await recorded(name, [1]);
  const other = await startMeddlingRegistry();
  const elsewhere = RemoteName.parse(`${other.at}/org/vm:latest`);
  await expect(publishKnownOrder(session, elsewhere)).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

function sizeOf(chunks: readonly number[]): number {
  return chunks.reduce((sum, at) => sum + (image.blobs.get(BLOBS[at] ?? '')?.length ?? 0), 0);
}
