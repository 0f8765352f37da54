import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { NotLazy } from '../../src/lazy-disk/choose.ts';
import { cloneOnDemand } from '../../src/lazy-disk/clone-on-demand.ts';
import { LocalName } from '../../src/names/local-name.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import type { TransferEvent } from '../../src/session/progress.ts';
import type { Session, SessionOptions } from '../../src/session/session.ts';
import { configJson, freshSession } from '../support/home.ts';
import { patternBytes } from '../support/memory-device.ts';
import { startStaticRegistry, type StaticRegistry } from '../support/static-registry.ts';
import { tinyImage, type TinyImage } from '../support/tart-image.ts';

const KIB = 1024;
const ci = LocalName.parse('ci');
const chunks = Array.from({ length: 20 }, (_, index) => patternBytes(128 * KIB, `chunk ${index}`));
const image = tinyImage({ chunks, config: Buffer.from(configJson()) });

interface Cloned {
  readonly session: Session;
  readonly registry: StaticRegistry;
  readonly name: string;
  readonly whole: NotLazy[];
  readonly events: TransferEvent[];
  clone(): ReturnType<typeof cloneOnDemand>;
}

async function place(of: TinyImage, options: Partial<SessionOptions>): Promise<Cloned> {
  const registry = await startStaticRegistry({ latest: of });
  const name = `${registry.address}/org/vm:latest`;
  const [whole, events]: [NotLazy[], TransferEvent[]] = [[], []];
  const session = freshSession({ platform: 'linux', onEvent: (event) => events.push(event), ...options });
  const onWhole = (why: NotLazy): void => void whole.push(why);
  return {
    session,
    registry,
    name,
    whole,
    events,
    clone: async () => cloneOnDemand(session, name, ci, { lazy: 'auto', onWhole }),
  };
}

it('measures for a second how fast an image comes, keeps what came, and tells nothing of a pull that was stopped', async () => {
  // All of it takes 6.5 s.
  const { session, name, whole, events, clone } = await place(image, { limitRate: 400_000 });
  const { copied, start } = await clone();
  expect(copied).toBe('lazy');
  expect(start?.bytesPerSecond).toBeGreaterThan(0);
  expect(start?.bytesPerSecond).toBeLessThanOrEqual(400_000);
  expect([whole, events]).toStrictEqual([[], []]);
  expect(existsSync(`${session.vms.pathOf(ci)}/disk.img`)).toBe(false);
  // It is no image yet, and the next pull goes on with it.
  expect(await session.images.find(RemoteName.parse(name))).toBeUndefined();
  expect(readdirSync(session.home.stagingDirectory)).toStrictEqual([image.digest.slice('sha256:'.length)]);
});

it('goes on pulling an image that is here in a moment, and tells of that as of every pull', async () => {
  // All of it takes 1.2 s, and 3 s are quick: this machine may be at other work.
  const { session, registry, whole, events, clone } = await place(image, { limitRate: 2_200_000 });
  expect((await clone()).copied).not.toBe('lazy');
  expect(readFileSync(`${session.vms.pathOf(ci)}/disk.img`).equals(image.disk)).toBe(true);
  expect(whole).toMatchObject([{ kind: 'whole-is-quick', estimate: { wholeBytes: expect.any(Number) as number } }]);
  expect(events.at(0)).toMatchObject({ kind: 'resolved' });
  expect(events.at(-1)).toMatchObject({ kind: 'finished' });
  // Each part once; the configuration a second time, to see whether the guest is for Linux.
  expect(registry.blobRequests()).toHaveLength(chunks.length + 3);
});

it('pulls as a whole what was here before the rate was known', async () => {
  const { whole, clone } = await place(image, {});
  expect((await clone()).copied).not.toBe('lazy');
  expect(whole).toMatchObject([{ kind: 'whole-is-quick' }]);
});

it('pulls as a whole what is not for Linux, before anything of its disk is fetched', async () => {
  const mac = configJson().replace('"os":"linux"', '"os":"darwin","ecid":"AA==","hardwareModel":"AA=="');
  const forMac = tinyImage({ chunks, config: Buffer.from(mac) });
  const { whole, clone } = await place(forMac, {});
  expect((await clone()).copied).not.toBe('lazy');
  expect(whole).toStrictEqual([{ kind: 'not-for-linux' }]);
});

it('fails as a pull does when that fails after it was decided', async () => {
  const { registry, session, name, clone } = await place(image, { limitRate: 2_200_000 });
  const last = [...image.blobs.keys()].at(-2) ?? '';
  registry.intercept = (request, response) => {
    if (request.url?.endsWith(last) !== true) return false;
    response.writeHead(404).end();
    return true;
  };
  await expect(clone()).rejects.toMatchObject({ code: 'NOT_FOUND' });
  expect(await session.images.find(RemoteName.parse(name))).toBeUndefined();
  expect(existsSync(session.vms.pathOf(ci))).toBe(false);
});

it('stops when it is interrupted while it measures', async () => {
  const stop = new AbortController();
  const { session, registry, clone } = await place(image, { limitRate: 400_000, signal: stop.signal });
  registry.intercept = () => {
    if (registry.blobRequests().length > 3) stop.abort(new Error('enough'));
    return false;
  };
  await expect(clone()).rejects.toThrow('enough');
  expect(existsSync(session.vms.pathOf(ci))).toBe(false);
});
