import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { measureDirectory } from '../../../src/home/prune/footprint.ts';
import { pinImage } from '../../../src/home/images/pin.ts';
import { prune } from '../../../src/home/prune/prune.ts';
import { Digest } from '../../../src/names/digest.ts';
import { LocalName } from '../../../src/names/local-name.ts';
import { RemoteName } from '../../../src/names/remote-name.ts';
import { inspect } from '../../../src/vm/inspect.ts';
import { freshSession, plantVm } from '../../support/home.ts';
import {
  noise,
  plantContent,
  plantStackedImage,
  plantStackedVm,
  tinyStackedImage,
} from '../../support/stacked-image.ts';
import { sha256 } from '../../support/tart-image.ts';

const BASE = noise(20_000, 1);
const image = tinyStackedImage({ levels: [[BASE], [noise(9000, 2)]] });
const other = tinyStackedImage({ levels: [[BASE], [noise(5000, 3)]] });
const REPOSITORY = 'registry.corp:8221/macos/base';

const file = (content: Uint8Array): { fileDigest: Digest; size: number } => ({
  fileDigest: Digest.parse(sha256(content)),
  size: content.length,
});

const intact = async (path: string, of: Uint8Array): Promise<boolean> => readFileSync(path).equals(of);

describe('installing a file', () => {
  it('moves it to its name once it was hashed', async () => {
    const { contents } = freshSession();
    const wanted = file(BASE);
    await contents.change(undefined, async () => writeFileSync(contents.partialOf(wanted.fileDigest), BASE));
    expect(await contents.holds(wanted)).toBe(false);
    const staged = contents.partialOf(wanted.fileDigest);
    expect(await contents.install(staged, wanted, async (path) => intact(path, BASE))).toBe(true);
    expect(readFileSync(contents.pathOf(wanted.fileDigest)).equals(BASE)).toBe(true);
    expect(existsSync(staged)).toBe(false);
    expect(await contents.holds(wanted)).toBe(true);
  });

  it.each([
    ['other bytes of its length', Buffer.alloc(BASE.length, 'x')],
    ['fewer bytes', BASE.subarray(1)],
  ])('refuses %s', async (_, staged) => {
    const { contents } = freshSession();
    const wanted = file(BASE);
    const partial = contents.partialOf(wanted.fileDigest);
    await contents.change(undefined, async () => writeFileSync(partial, staged));
    expect(await contents.install(partial, wanted, async (path) => intact(path, BASE))).toBe(false);
    expect(existsSync(contents.pathOf(wanted.fileDigest))).toBe(false);
    expect(existsSync(partial)).toBe(true);
  });

  it('keeps the very file that came first, and replaces one of another length', async () => {
    const session = freshSession();
    const { contents } = session;
    const wanted = file(BASE);
    const path = plantContent(session, BASE);
    utimesSync(path, 1000, 1000);
    const partial = contents.partialOf(wanted.fileDigest);
    writeFileSync(partial, BASE);
    await contents.install(partial, wanted, async () => true);
    expect(existsSync(partial)).toBe(false);
    expect(statSync(path).mtimeMs).toBe(1_000_000);
    writeFileSync(path, 'short');
    writeFileSync(partial, BASE);
    await contents.install(partial, wanted, async () => true);
    expect(readFileSync(path).equals(BASE)).toBe(true);
  });
});

describe('collecting', () => {
  it('deletes only whole files that nothing names', async () => {
    const session = freshSession();
    plantStackedImage(session, REPOSITORY, image, 'v1');
    const orphan = plantContent(session, noise(100, 9));
    const store = `${session.home.contentDirectory}/sha256`;
    const hidden = [`.${'a'.repeat(64)}.partial`, `.${'a'.repeat(64)}.lock`, '.5B1E6F0C.tmp'];
    for (const name of [...hidden, 'A'.repeat(64), 'readme', 'f'.repeat(63)]) writeFileSync(`${store}/${name}`, '');
    mkdirSync(`${store}/${'e'.repeat(64)}`);
    const before = readdirSync(store);
    const { deleted, refrained } = await session.contents.collectAlone();
    expect(deleted.map((digest) => digest.toString())).toEqual([sha256(noise(100, 9))]);
    expect(refrained).toBeUndefined();
    expect(readdirSync(store)).toEqual(before.filter((name) => !orphan.endsWith(name)));
  });

  it.each([
    ['a stacked VM', (root: string) => plantStackedVm(`${root}/vms/mine`, image)],
    [
      'a stacked VM that lost its NVRAM',
      (root: string) => {
        plantStackedVm(`${root}/vms/mine`, image);
        rmSync(`${root}/vms/mine/nvram.bin`);
      },
    ],
    ["work of Tart's", (root: string) => plantManifest(`${root}/tmp/0F5A`)],
    ['a pull that was interrupted', (root: string) => plantManifest(`${root}/cache/.staging/${'c'.repeat(64)}`)],
    [
      'an image under a name of another age',
      (root: string) => plantManifest(`${root}/cache/OCIs/corp:1/a/${image.digest}`),
    ],
  ])('spares what is named by %s', async (_, plant) => {
    const session = freshSession();
    for (const level of image.levels) plantContent(session, level);
    plant(session.home.root);
    expect((await session.contents.collectAlone()).deleted).toEqual([]);
  });

  it('is not stopped by a cached manifest that cannot be read', async () => {
    const session = freshSession();
    const directory = plantStackedImage(session, REPOSITORY, image, 'v1');
    writeFileSync(`${directory}/manifest.json`, 'not JSON');
    expect((await session.contents.collectAlone()).deleted).toHaveLength(2);
  });

  it('deletes nothing while a VM has a manifest that cannot be read: it may need any file', async () => {
    const session = freshSession({ now: () => new Date('2026-11-24T03:00:00Z') });
    plantStackedVm(`${session.home.vmsDirectory}/mine`, image);
    writeFileSync(`${session.home.vmsDirectory}/mine/manifest.json`, 'not JSON');
    const orphan = plantContent(session, BASE);
    expect(await session.contents.collectAlone()).toMatchObject({
      deleted: [],
      refrained: expect.stringContaining('vms/mine/manifest.json') as unknown,
    });
    await expect(prune(session, { entries: 'caches', collect: true })).rejects.toMatchObject({
      code: 'STORE_DAMAGED',
    });
    expect(existsSync(orphan)).toBe(true);
  });

  it('waits for a process that is changing what is named', async () => {
    const session = freshSession();
    for (const level of image.levels) plantContent(session, level);
    let collected: ReturnType<typeof session.contents.collectAlone> | undefined;
    await session.contents.change(undefined, async () => {
      collected = session.contents.collectAlone();
      plantStackedVm(`${session.home.vmsDirectory}/mine`, image);
    });
    expect((await collected)?.deleted).toEqual([]);
  });

  it('happens when prune is asked to collect', async () => {
    const session = freshSession();
    const orphan = plantContent(session, BASE);
    await prune(session, { entries: 'caches', collect: true, dryRun: true });
    expect(existsSync(orphan)).toBe(true);
    await prune(session, { entries: 'caches', collect: true });
    expect(existsSync(orphan)).toBe(false);
  });
});

function plantManifest(directory: string): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(`${directory}/manifest.json`, image.manifest);
}

describe('deleting', () => {
  it('a stacked VM deletes what it alone needed', async () => {
    const session = freshSession();
    plantStackedImage(session, REPOSITORY, other, 'v1');
    const own = plantContent(session, noise(9000, 2));
    plantStackedVm(`${session.home.vmsDirectory}/mine`, image);
    await session.vms.delete(LocalName.parse('mine'));
    expect(existsSync(own)).toBe(false);
    expect(existsSync(session.contents.pathOf(file(BASE).fileDigest))).toBe(true);
  });

  it('an image keeps what a stacked VM needs', async () => {
    const session = freshSession();
    plantStackedImage(session, REPOSITORY, image, 'v1');
    plantStackedVm(`${session.home.vmsDirectory}/mine`, image);
    await session.images.delete(RemoteName.parse(`${REPOSITORY}:v1`));
    for (const level of image.levels) expect(await session.contents.holds(file(level))).toBe(true);
  });

  it('a standalone VM makes no content store (tart-cli §6.3)', async () => {
    const session = freshSession();
    plantVm(`${session.home.vmsDirectory}/plain`);
    await session.vms.delete(LocalName.parse('plain'));
    expect(existsSync(session.home.contentDirectory)).toBe(false);
  });
});

describe('what a stacked image occupies', () => {
  const blocks = (of: string): number => statSync(of).blocks * 512;

  it('is shared where another image needs the file, too, and would be freed where none does', async () => {
    const session = freshSession();
    const directory = plantStackedImage(session, REPOSITORY, image, 'v1');
    const neighbour = plantStackedImage(session, REPOSITORY, other, 'v2');
    const shared = blocks(session.contents.pathOf(file(BASE).fileDigest));
    const both = await measureDirectory(session, directory);
    expect(both.sharedBytes).toBe(shared);
    expect(both.reclaimableBytes).toBe(both.allocatedBytes - shared);

    rmSync(neighbour, { recursive: true });
    expect(await measureDirectory(session, directory)).toEqual({
      ...both,
      sharedBytes: 0,
      reclaimableBytes: both.allocatedBytes,
    });
  });

  it('is what inspect tells, with the last use and the pin', async () => {
    const now = new Date('2026-06-15T12:00:00Z');
    const session = freshSession({ now: () => now });
    const directory = plantStackedImage(session, REPOSITORY, image, 'v1');
    await session.images.touch(directory, now);
    await pinImage(session, RemoteName.parse(`${REPOSITORY}:v1`), true);
    expect(await inspect(session, `${REPOSITORY}:v1`, { where: 'here', insecure: false })).toMatchObject({
      ...(await measureDirectory(session, directory)),
      lastUsed: now.toISOString(),
      pinned: true,
    });
  });
});

describe('pruning by space', () => {
  it('counts a shared file once, for the image that was used last', async () => {
    const session = freshSession({ now: () => new Date('2026-06-15T12:00:00Z') });
    const older = plantStackedImage(session, REPOSITORY, image, 'v1');
    const newer = plantStackedImage(session, REPOSITORY, other, 'v2');
    utimesSync(older, 1_000_000, 1_000_000);
    utimesSync(newer, 2_000_000, 2_000_000);
    const { deleted } = await prune(session, { entries: 'caches', budgetBytes: 0, dryRun: true });
    expect(deleted.map(({ candidate }) => candidate.path)).toEqual([older, newer]);
    const [first, second] = deleted.map(({ candidate }) => candidate.bytes);
    expect((second ?? 0) - (first ?? 0)).toBeGreaterThanOrEqual(BASE.length - 8192);
  });
});
