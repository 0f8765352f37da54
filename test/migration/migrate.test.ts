import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { Home } from '../../src/home/home.ts';
import { assignRegistry, migrateCache, surveyCache } from '../../src/migration/migrate.ts';
import { Digest } from '../../src/names/digest.ts';
import { RegistryAddress } from '../../src/names/registry-address.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import { Session } from '../../src/session/session.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { digestOfContent, OldCache, type Pulled } from '../support/old-cache.ts';
import { tartList, tartWouldCollect } from '../support/tart-rules.ts';

const AT = new Date('2026-06-15T12:00:00Z');
const A = digestOfContent('a');
const B = digestOfContent('b');
const REGISTRY = 'registry.corp:8221';
/** Below `cache/OCIs`. */
const PLACE = 'registry.corp%3A8221/macos/base';

function oldCache(): OldCache {
  return new OldCache(`${temporaryDirectory()}/home`);
}

function sessionOf(cache: OldCache): Session {
  return new Session({ home: new Home(cache.root), platform: process.platform, now: () => AT });
}

function pulled(overrides: Partial<Pulled> = {}): Pulled {
  return { registry: REGISTRY, repository: 'macos/base', tag: 'latest', content: 'a', generation: 'raw', ...overrides };
}

/** The tree of a cache with the texts of symlinks cut down to what follows `cache/OCIs`. */
function treeOf(cache: OldCache): string[] {
  return cache
    .tree()
    .map((line) => line.replace(`${cache.images}/`, '…'))
    .sort();
}

/** One image with one tag, in order. */
const IN_ORDER = [`${PLACE}/latest -> …${PLACE}/${A}`, `${PLACE}/${A}/`];

async function expectInOrder(cache: OldCache, tree: readonly string[] = IN_ORDER): Promise<void> {
  expect(treeOf(cache)).toEqual([...tree].sort());
  expect(tartWouldCollect(cache.images)).toEqual([]);
  expect(await migrateCache(sessionOf(cache))).toMatchObject({ moved: [], tags: 0, protected: 0 });
  expect(treeOf(cache)).toEqual([...tree].sort());
}

describe('migration brings home', () => {
  it.each(['raw', 'lower-escape'] as const)('a cache with %s hosts (C32)', async (generation) => {
    const cache = oldCache();
    cache.pull(pulled({ generation }));
    await migrateCache(sessionOf(cache));
    await expectInOrder(cache);
    expect(tartList(cache.images)).toEqual([`${REGISTRY}/macos/base:latest`, `${REGISTRY}/macos/base@${A}`]);
  });

  it('a directory that was renamed without its port, as its tags tell (openai/tart#827)', async () => {
    const cache = oldCache();
    cache.pull(pulled());
    cache.rename(REGISTRY, 'registry.corp');
    const report = await migrateCache(sessionOf(cache));
    expect(report.moved.map(({ to, because }) => `${to.toString()} ${because}`)).toEqual([
      `${REGISTRY}/macos/base@${A} link`,
    ]);
    await expectInOrder(cache);
  });

  it('a directory with a genuine registry without a port beside one that lost it', async () => {
    const cache = oldCache();
    cache.pull(pulled());
    cache.rename(REGISTRY, 'registry.corp');
    cache.pull(pulled({ registry: 'registry.corp', tag: 'v2', content: 'b' }));
    await migrateCache(sessionOf(cache));
    const genuine = 'registry.corp/macos/base';
    await expectInOrder(cache, [...IN_ORDER, `${genuine}/v2 -> …${genuine}/${B}`, `${genuine}/${B}/`]);
  });

  it('what the old --populate-cache put beside the port, with the tags that lead there', async () => {
    const cache = oldCache();
    mkdirSync(`${cache.images}/${REGISTRY}/macos/base`, { recursive: true });
    cache.populate(pulled() as Pulled & { tag: string });
    await migrateCache(sessionOf(cache));
    await expectInOrder(cache);
  });

  it('a home that was moved, whose tags all name the old place', async () => {
    const cache = oldCache();
    cache.pull(pulled({ generation: 'encoded' }));
    cache.moveTo(`${path.dirname(cache.root)}/elsewhere/.tart`);
    expect(tartWouldCollect(cache.images)).toHaveLength(1);
    const report = await migrateCache(sessionOf(cache));
    expect(report).toMatchObject({ moved: [], tags: 1 });
    await expectInOrder(cache);
  });

  it('a home that was moved, renamed without its port, and moved back', async () => {
    const cache = oldCache();
    const first = cache.root;
    cache.pull(pulled());
    cache.moveTo(`${path.dirname(first)}/elsewhere`);
    cache.rename(REGISTRY, 'registry.corp');
    await migrateCache(sessionOf(cache));
    await expectInOrder(cache);
    cache.moveTo(first);
    await migrateCache(sessionOf(cache));
    await expectInOrder(cache);
  });

  it('mixed case and zeros before the port, which Tart takes for other registries', async () => {
    const cache = oldCache();
    cache.pull(pulled({ registry: 'Registry.Corp:08221', generation: 'encoded' }));
    await migrateCache(sessionOf(cache));
    await expectInOrder(cache);
  });

  it('both encodings side by side: one image, and the tag of the newer Tart', async () => {
    const cache = oldCache();
    cache.pull(pulled());
    cache.pull(pulled({ tag: 'old', content: 'b' }));
    cache.pull(pulled({ tag: 'latest', content: 'b', generation: 'encoded' }));
    await migrateCache(sessionOf(cache));
    await expectInOrder(cache, [
      `${PLACE}/latest -> …${PLACE}/${B}`,
      `${PLACE}/old -> …${PLACE}/${B}`,
      `${PLACE}/${B}/`,
      `${PLACE}/${A}/`,
    ]);
    // Its tag was taken by a newer one, and no command asked for it to go.
    expect(readFileSync(`${cache.images}/${PLACE}/${A}/.explicitly-pulled`, 'utf8')).toBe('migration\n');
  });

  it('two ports that were merged into one directory, and share an image', async () => {
    const cache = oldCache();
    cache.pull(pulled({ registry: 'h:5000', tag: 'five' }));
    cache.pull(pulled({ registry: 'h:5001', tag: 'six' }));
    cache.pull(pulled({ registry: 'h:5001', tag: 'other', content: 'b' }));
    cache.rename('h:5000', 'h');
    cache.rename('h:5001', 'h');
    await migrateCache(sessionOf(cache));
    const [five, six] = ['h%3A5000/macos/base', 'h%3A5001/macos/base'];
    await expectInOrder(cache, [
      `${five}/five -> …${five}/${A}`,
      `${five}/${A}/`,
      `${six}/six -> …${five}/${A}`,
      `${six}/other -> …${six}/${B}`,
      `${six}/${B}/`,
    ]);
    const found = await sessionOf(cache).images.find(RemoteName.parse('h:5001/macos/base:six'));
    expect(found?.digest.toString()).toBe(A);
  });

  it('a pull of our own whose directory was renamed and whose tag was repaired by hand, as its record tells', async () => {
    const cache = oldCache();
    const directory = cache.pull(pulled({ generation: 'encoded' }));
    const facts = { mediaType: 'x', size: 1, pulledAt: AT.toISOString() };
    const record = { version: 1, via: 'pull', registry: REGISTRY, repository: 'macos/base', digest: A, ...facts };
    writeFileSync(`${directory}/.origin.json`, JSON.stringify(record));
    cache.rename('registry.corp%3A8221', 'registry.corp');
    cache.repair('registry.corp/macos/base/latest', 'absolute');
    await migrateCache(sessionOf(cache));
    await expectInOrder(cache);
    expect(JSON.parse(readFileSync(`${cache.images}/${PLACE}/${A}/.origin.json`, 'utf8'))).toEqual(record);
  });
});

describe('symlinks that users made', () => {
  it('to a host directory follow it', async () => {
    const cache = oldCache();
    cache.pull(pulled());
    cache.alias('registry.corp', REGISTRY);
    await migrateCache(sessionOf(cache));
    await expectInOrder(cache, [...IN_ORDER, 'registry.corp -> registry.corp%3A8221']);
    const found = await sessionOf(cache).images.find(RemoteName.parse('registry.corp/macos/base:latest'));
    expect(found?.digest.toString()).toBe(A);
  });

  it('that stand where the directory must be give way to it', async () => {
    const cache = oldCache();
    cache.pull(pulled());
    cache.alias('registry.corp%3A8221', `${cache.images}/${REGISTRY}`);
    await migrateCache(sessionOf(cache));
    await expectInOrder(cache);
  });

  it('with the port, to the directory without, say what is in it', async () => {
    const cache = oldCache();
    cache.pull(pulled());
    cache.rename(REGISTRY, 'registry.corp');
    cache.repair('registry.corp/macos/base/latest', 'relative');
    cache.alias('registry.corp%3A8221', 'registry.corp');
    await migrateCache(sessionOf(cache));
    await expectInOrder(cache);
  });

  it('to another disk are left alone, and so is what belongs there', async () => {
    const cache = oldCache();
    cache.pull(pulled());
    const elsewhere = temporaryDirectory();
    cache.alias('registry.corp%3A8221', elsewhere);
    const report = await migrateCache(sessionOf(cache));
    expect(report.stays.map(({ because }) => because)).toEqual(['host-link', 'host-link']);
    expect(readdirSync(elsewhere)).toEqual([]);
    expect(tartWouldCollect(cache.images)).toEqual([]);
  });

  it('to images elsewhere in the cache keep leading to them', async () => {
    const cache = oldCache();
    const directory = cache.pull(pulled());
    mkdirSync(`${cache.images}/mine/own`, { recursive: true });
    symlinkSync(directory, `${cache.images}/mine/own/favourite`);
    await migrateCache(sessionOf(cache));
    await expectInOrder(cache, [...IN_ORDER, `mine/own/favourite -> …${PLACE}/${A}`]);
  });
});

describe('without evidence', () => {
  it('an image stays, is listed, and is kept from Tart, which would collect it', async () => {
    const cache = oldCache();
    cache.pull(pulled());
    cache.rename(REGISTRY, 'registry.corp');
    cache.remove('registry.corp/macos/base/latest');
    expect(tartWouldCollect(cache.images)).toHaveLength(1);
    const report = await migrateCache(sessionOf(cache));
    expect(report).toMatchObject({ moved: [], protected: 1 });
    expect(report.stays.map(({ because }) => because)).toEqual(['port-unknown']);
    expect(tartList(cache.images)).toEqual([`registry.corp/macos/base@${A}`]);
    await expectInOrder(cache, [`registry.corp/macos/base/${A}/`]);
  });

  it.each([
    ['my_host', 'unnameable'],
    ['registry.corp%3G8221', 'undecodable'],
    ['new.corp', 'port-unknown'],
  ])('a directory renamed to %s stays, and its images are kept from Tart', async (directory, because) => {
    const cache = oldCache();
    cache.pull(pulled());
    cache.rename(REGISTRY, directory);
    const before = treeOf(cache);
    const report = await migrateCache(sessionOf(cache));
    expect(report.stays.map((stay) => stay.because).sort()).toEqual([because, 'unrelated-link'].sort());
    await expectInOrder(cache, before);
  });

  it('what a command of ours left without a tag is no accident, and is not protected', async () => {
    const cache = oldCache();
    cache.pull(pulled({ generation: 'encoded' }));
    const directory = cache.pull(pulled({ generation: 'encoded', content: 'b' }));
    writeFileSync(`${path.dirname(directory)}/${A}/.unnamed`, '');
    expect(await migrateCache(sessionOf(cache))).toMatchObject({ protected: 0 });
  });

  it('an image that loses its tag by hand later is left to prune, since the reason is not known', async () => {
    const cache = oldCache();
    cache.pull(pulled({ generation: 'encoded' }));
    await migrateCache(sessionOf(cache));
    cache.remove(`${PLACE}/latest`);
    expect(await migrateCache(sessionOf(cache))).toMatchObject({ protected: 0 });
  });
});

describe('the user’s word', () => {
  const to = RegistryAddress.parse(REGISTRY);

  it('moves what nothing else speaks for, with tags that were repaired by hand', async () => {
    const cache = oldCache();
    cache.pull(pulled());
    cache.rename(REGISTRY, 'registry.corp');
    cache.repair('registry.corp/macos/base/latest', 'absolute');
    const session = sessionOf(cache);
    await migrateCache(session);
    expect(treeOf(cache)[0]).toMatch(/^registry\.corp\//);
    const report = await assignRegistry(session, 'registry.corp', to);
    expect(report.moved.map(({ because }) => because)).toEqual(['override']);
    await expectInOrder(cache);
  });

  it.each(['my_host', 'registry.corp%3G8221'])(
    'takes the name of a directory that no address has: %s',
    async (directory) => {
      const cache = oldCache();
      cache.pull(pulled());
      cache.rename(REGISTRY, directory);
      const session = sessionOf(cache);
      await migrateCache(session);
      await assignRegistry(session, directory, to);
      await expectInOrder(cache);
    },
  );

  it('spares what a record proves to be where it belongs', async () => {
    const cache = oldCache();
    const directory = cache.pull(pulled({ registry: 'registry.corp', generation: 'encoded' }));
    const facts = { mediaType: 'x', size: 1, pulledAt: AT.toISOString() };
    const record = {
      version: 1,
      via: 'pull',
      registry: 'registry.corp',
      repository: 'macos/base',
      digest: A,
      ...facts,
    };
    writeFileSync(`${directory}/.origin.json`, JSON.stringify(record));
    const before = treeOf(cache);
    expect(await assignRegistry(sessionOf(cache), 'registry.corp', to)).toMatchObject({ moved: [], tags: 0 });
    expect(treeOf(cache)).toEqual(before);
  });
});

describe('two directories of one digest', () => {
  const aside = (cache: OldCache): string[] => {
    try {
      return readdirSync(`${cache.root}/cache/.quarantine`);
    } catch {
      return [];
    }
  };

  it('become one when they are surely the same', async () => {
    const cache = oldCache();
    cache.pull(pulled());
    cache.pull(pulled({ generation: 'encoded' }));
    writeFileSync(`${cache.images}/${REGISTRY}/macos/base/${A}/.explicitly-pulled`, '');
    writeFileSync(`${cache.images}/${REGISTRY}/macos/base/${A}/.pinned`, '');
    expect(await migrateCache(sessionOf(cache))).toMatchObject({ kept: [] });
    await expectInOrder(cache);
    expect(aside(cache)).toEqual([]);
    // What the user wished for the one that went holds for the one that stays.
    expect(readFileSync(`${cache.images}/${PLACE}/${A}/.explicitly-pulled`, 'utf8')).toBe('');
    expect(readdirSync(`${cache.images}/${PLACE}/${A}`)).toContain('.pinned');
  });

  it.each([
    ['has no manifest that would tell', (directory: string) => rmSync(`${directory}/manifest.json`)],
    ['has another NVRAM', (directory: string) => writeFileSync(`${directory}/nvram.bin`, 'other')],
    ['has a disk of another size', (directory: string) => writeFileSync(`${directory}/disk.img`, 'short')],
    ['holds a suspended machine', (directory: string) => writeFileSync(`${directory}/state.vzvmsave`, 'state')],
  ])('are both kept when one %s', async (_, change) => {
    const cache = oldCache();
    cache.pull(pulled());
    change(cache.pull(pulled({ generation: 'encoded' })));
    const report = await migrateCache(sessionOf(cache));
    expect(report.kept).toMatchObject([{ image: `${cache.images}/${REGISTRY}/macos/base/${A}` }]);
    expect(aside(cache)).toHaveLength(1);
    await expectInOrder(cache);
  });

  it('are the whole one, where the other lacks a file', async () => {
    const cache = oldCache();
    cache.pull(pulled());
    rmSync(`${cache.pull(pulled({ generation: 'encoded' }))}/disk.img`);
    await migrateCache(sessionOf(cache));
    expect(readdirSync(`${cache.images}/${PLACE}/${A}`)).toContain('disk.img');
    await expectInOrder(cache);
    expect(aside(cache)).toHaveLength(1);
  });
});

describe('names that want one path', () => {
  it('do not destroy each other: a tag stays where a repository has its place', async () => {
    const cache = oldCache();
    cache.pull(pulled({ repository: 'macos', tag: 'base' }));
    cache.pull(pulled({ generation: 'encoded', content: 'b' }));
    const report = await migrateCache(sessionOf(cache));
    expect(report.stays.map(({ what, because }) => `${what} ${because}`)).toEqual(['tag collision']);
    expect(readlinkSync(`${cache.images}/${REGISTRY}/macos/base`)).toBe(
      `${cache.images}/registry.corp%3A8221/macos/${A}`,
    );
    expect(tartWouldCollect(cache.images)).toEqual([]);
    expect(lstatSync(`${cache.images}/${PLACE}`).isDirectory()).toBe(true);
  });

  it('nor a repository where a tag has its place', async () => {
    const cache = oldCache();
    cache.pull(pulled({ repository: 'macos', tag: 'base', content: 'b', generation: 'encoded' }));
    cache.pull(pulled());
    const report = await migrateCache(sessionOf(cache));
    expect(report.stays.map(({ what, because }) => `${what} ${because}`)).toEqual(['image collision', 'tag collision']);
    expect(tartWouldCollect(cache.images)).toEqual([]);
  });

  it('but the port that only the text of a tag told is not forgotten when that tag is repaired', async () => {
    const cache = oldCache();
    cache.pull(pulled({ repository: 'macos', tag: 'base', content: 'b', generation: 'encoded' }));
    cache.pull(pulled());
    cache.rename(REGISTRY, 'registry.corp');
    for (const thorough of [false, true]) {
      const report = await migrateCache(sessionOf(cache), { thorough });
      expect(report.stays.map(({ what, because }) => `${what} ${because}`)).toEqual([
        'image collision',
        'tag collision',
      ]);
      expect(readlinkSync(`${cache.images}/registry.corp/macos/base/latest`)).toBe(
        `${cache.images}/registry.corp/macos/base/${A}`,
      );
      const record: unknown = JSON.parse(
        readFileSync(`${cache.images}/registry.corp/macos/base/${A}/.origin.json`, 'utf8'),
      );
      expect(record).toMatchObject({ registry: REGISTRY, repository: 'macos/base', digest: A });
    }
    cache.remove('registry.corp%3A8221');
    await migrateCache(sessionOf(cache), { thorough: true });
    await expectInOrder(cache);
  });
});

describe('what is in use', () => {
  it('stays until the next command, and all others are moved', async () => {
    const cache = oldCache();
    cache.pull(pulled());
    cache.pull(pulled({ tag: 'busy', content: 'b' }));
    const session = sessionOf(cache);
    const lock = await session.images.lock(Digest.parse(B), { mode: 'shared', wait: false });
    const report = await migrateCache(session);
    expect(report.busy).toEqual([`${cache.images}/${REGISTRY}/macos/base/${B}`]);
    expect(report.moved).toHaveLength(1);
    expect(readlinkSync(`${cache.images}/${REGISTRY}/macos/base/busy`)).toContain(B);
    await lock?.release();
    await migrateCache(session);
    await expectInOrder(cache, [...IN_ORDER, `${PLACE}/busy -> …${PLACE}/${B}`, `${PLACE}/${B}/`]);
  });
});

describe('a tag that another process moves meanwhile', () => {
  it('stays moved, and the image that it led to stays marked until the next command has looked', async () => {
    const cache = oldCache();
    cache.pull(pulled());
    const session = sessionOf(cache);
    let isMoved = false;
    const report = await migrateCache(session, {
      onStep: (step) => {
        if (!step.startsWith('record') || isMoved) return;
        isMoved = true;
        cache.pull(pulled({ content: 'b', generation: 'encoded' }));
      },
    });
    expect(report.moved).toHaveLength(1);
    await expectInOrder(cache, [`${PLACE}/latest -> …${PLACE}/${B}`, `${PLACE}/${B}/`, `${PLACE}/${A}/`]);
    expect(readFileSync(`${cache.images}/${PLACE}/${A}/.explicitly-pulled`, 'utf8')).toBe('migration\n');
  });
});

describe('on paper', () => {
  it('the survey says what would be done, and does nothing', () => {
    const cache = oldCache();
    cache.pull(pulled());
    const before = treeOf(cache);
    const survey = surveyCache(sessionOf(cache));
    expect(survey).toMatchObject({ needed: true, stays: [] });
    expect(survey.moves.map(({ to, because }) => `${to.toString()} ${because}`)).toEqual([
      `${REGISTRY}/macos/base@${A} directory`,
    ]);
    expect(survey.links).toEqual([
      {
        from: `${cache.images}/${REGISTRY}/macos/base/latest`,
        to: `${cache.images}/${PLACE}/latest`,
        text: `${cache.images}/${PLACE}/${A}`,
      },
    ]);
    expect(treeOf(cache)).toEqual(before);
    expect(readdirSync(`${cache.root}/cache`)).toEqual(['OCIs']);
  });

  it('the log tells old and new of everything, below the images, and the record where the image lay', async () => {
    const cache = oldCache();
    const text = cache.pull(pulled());
    await migrateCache(sessionOf(cache));
    const log = readFileSync(`${cache.root}/cache/.migrations.log`, 'utf8').trim().split('\n');
    const time = AT.toISOString();
    expect(log.map((line) => JSON.parse(line) as unknown)).toEqual([
      { time, protected: `${REGISTRY}/macos/base/${A}` },
      {
        time,
        tag: `${REGISTRY}/macos/base/latest`,
        text,
        to: `${PLACE}/latest`,
        newText: `${cache.images}/${PLACE}/${A}`,
      },
      { time, image: `${REGISTRY}/macos/base/${A}`, to: `${PLACE}/${A}`, because: 'directory' },
    ]);
    expect(JSON.parse(readFileSync(`${cache.images}/${PLACE}/${A}/.origin.json`, 'utf8'))).toEqual({
      version: 1,
      via: 'migration',
      registry: REGISTRY,
      repository: 'macos/base',
      digest: A,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      size: lstatSync(`${cache.images}/${PLACE}/${A}/manifest.json`).size,
      movedFrom: `${REGISTRY}/macos/base/${A}`,
      migratedAt: time,
    });
  });
});
