import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fc, test as property } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { collectUnnamed, noteLostTag } from '../../../src/home/prune/collect.ts';
import { recordUse } from '../../../src/home/last-use.ts';
import { pinImage } from '../../../src/home/images/pin.ts';
import { prune } from '../../../src/home/prune/prune.ts';
import { Digest } from '../../../src/names/digest.ts';
import { RemoteName } from '../../../src/names/remote-name.ts';
import type { Session } from '../../../src/session/session.ts';
import { digestOf, freshSession, plantImage } from '../../support/home.ts';

const NOW = new Date('2026-06-15T12:00:00Z');
const MINUTE = 60_000;
const REPOSITORY = 'registry.corp:8221/macos/base';

function session(): Session {
  return freshSession({ now: () => NOW });
}

/** An image that lost its last tag and was used so many minutes ago. */
async function unnamed(at: Session, digit: string, minutes = 60): Promise<string> {
  const directory = plantImage(at, REPOSITORY, digestOf(digit));
  writeFileSync(`${directory}/.unnamed`, '');
  await recordUse(directory, new Date(NOW.getTime() - minutes * MINUTE));
  return directory;
}

async function collected(at: Session): Promise<string[]> {
  return (await collectUnnamed(at)).deleted.map((image) => path.basename(image.path).slice(0, 9));
}

describe('automatic collection', () => {
  it('takes an image that lost its last tag', async () => {
    const at = session();
    const directory = await unnamed(at, 'a');
    expect(await collected(at)).toEqual(['sha256:aa']);
    expect(existsSync(directory)).toBe(false);
    expect(readdirSync(at.home.stagingDirectory)).toEqual([]);
  });

  it('leaves an image alone that nothing led to before either: a renamed directory, a pull killed before its tag', async () => {
    const at = session();
    const directory = await unnamed(at, 'a');
    rmSync(`${directory}/.unnamed`);
    expect(await collected(at)).toEqual([]);
    expect((await prune(at, { entries: 'caches', collect: true })).deleted).toHaveLength(1);
  });

  it.each<[string, (at: Session, directory: string) => Promise<unknown> | void]>([
    ['a tag leads to it', (_, directory) => symlinkSync(directory, `${path.dirname(directory)}/tag`)],
    [
      'a tag names it by the path of a home that moved',
      (_, directory) => symlinkSync(`/old/${path.basename(directory)}`, `${path.dirname(directory)}/tag`),
    ],
    [
      'a relative symlink leads to it',
      (_, directory) => symlinkSync(path.basename(directory), `${path.dirname(directory)}/tag`),
    ],
    [
      'a symlink leads to it that says so in no word',
      (_, directory) => symlinkSync(`${directory}/.`, `${path.dirname(directory)}/tag`),
    ],
    [
      'a link to a symlink leads to it',
      (_, directory) => {
        symlinkSync(directory, `${path.dirname(directory)}/inner`);
        symlinkSync('inner', `${path.dirname(directory)}/outer`);
      },
    ],
    [
      'a symlink leads to it whose own name we cannot have',
      (at, directory) => {
        mkdirSync(`${at.home.imagesDirectory}/Old Host/macos`, { recursive: true });
        symlinkSync(directory, `${at.home.imagesDirectory}/Old Host/macos/tag`);
      },
    ],
    ['it was pulled by its digest', (_, directory) => writeFileSync(`${directory}/.explicitly-pulled`, '')],
    ['it is pinned', (_, directory) => writeFileSync(`${directory}/.pinned`, '')],
    [
      'it was used within ten minutes',
      async (_, directory) => recordUse(directory, new Date(NOW.getTime() - 9 * MINUTE)),
    ],
    [
      'it was used in the future, says its record (P25)',
      async (_, directory) => recordUse(directory, new Date('2027-01-01')),
    ],
  ])('spares an image when %s', async (_, protect) => {
    const at = session();
    const directory = await unnamed(at, 'a');
    await protect(at, directory);
    expect(await collected(at)).toEqual([]);
    expect(existsSync(`${directory}/disk.img`)).toBe(true);
  });

  it('spares an image that came a moment ago and has no record yet: Tart moves first and symlinks then', async () => {
    const at = session();
    const directory = await unnamed(at, 'a');
    rmSync(`${directory}/.last-used`);
    utimesSync(directory, new Date('2020-01-01'), new Date(NOW.getTime() - MINUTE));
    expect(await collected(at)).toEqual([]);
  });

  it.each(['shared', 'exclusive'] as const)(
    'spares what a process holds (%s), and takes the rest and it next time',
    async (mode) => {
      const at = session();
      await unnamed(at, 'a');
      await unnamed(at, 'b');
      const lock = await at.images.lock(Digest.parse(digestOf('a')), { mode, wait: false });
      const { deleted, spared } = await collectUnnamed(at);
      expect(deleted.map((image) => image.name.toString())).toEqual([`${REPOSITORY}@${digestOf('b')}`]);
      expect(spared).toMatchObject([{ error: { code: 'BUSY' } }]);
      await lock?.release();
      expect(await collected(at)).toEqual(['sha256:aa']);
    },
  );

  it('forgets that an image lost its tag when it has one again', async () => {
    const at = session();
    const directory = await unnamed(at, 'a');
    const name = RemoteName.parse(`${REPOSITORY}:back`);
    await at.images.link(name, Digest.parse(digestOf('a')));
    rmSync(at.images.pathOf(name));
    expect(existsSync(directory)).toBe(true);
    expect(await collected(at)).toEqual([]);
  });

  it('takes an image that lost its last tag although another repository has one of the same digest', async () => {
    const at = session();
    const directory = await unnamed(at, 'a');
    const duplicate = plantImage(at, 'mirror.corp/macos/base', digestOf('a'), 'tag');
    expect(await collected(at)).toEqual(['sha256:aa']);
    expect([existsSync(directory), existsSync(duplicate)]).toEqual([false, true]);
  });

  it('remembers the loss of the last tag although another repository has an image of the same digest', async () => {
    const at = session();
    const directory = plantImage(at, REPOSITORY, digestOf('a'));
    plantImage(at, 'mirror.corp/macos/base', digestOf('a'), 'tag');
    await noteLostTag(at, RemoteName.parse(`${REPOSITORY}:moved`), Digest.parse(digestOf('a')));
    expect(existsSync(`${directory}/.unnamed`)).toBe(true);
  });

  it('remembers the loss only of the last tag', async () => {
    const at = session();
    const directory = plantImage(at, REPOSITORY, digestOf('a'), 'other');
    const lose = async (): Promise<boolean> => {
      await noteLostTag(at, RemoteName.parse(`${REPOSITORY}:moved`), Digest.parse(digestOf('a')));
      return existsSync(`${directory}/.unnamed`);
    };
    expect(await lose()).toBe(false);
    rmSync(`${path.dirname(directory)}/other`);
    expect(await lose()).toBe(true);
  });
});

it('on a Mac, tags and directories change only while Tart does not collect: under the lock that it takes', async () => {
  const linux = session();
  const mac = freshSession({ home: linux.home, now: () => NOW, platform: 'darwin' });
  const directory = plantImage(mac, REPOSITORY, digestOf('a'));
  const link = async (at: Session, tag: string): Promise<void> =>
    at.images.link(RemoteName.parse(`${REPOSITORY}:${tag}`), Digest.parse(digestOf('a')));
  const steps: string[] = [];
  const waiting = await mac.contents.change(undefined, async () => {
    const linked = link(mac, 'mac').then(() => steps.push('mac'));
    for (const tag of ['one', 'two', 'three']) await link(linux, tag);
    steps.push('linux, three times');
    return { linked };
  });
  await waiting.linked;
  expect(steps).toEqual(['linux, three times', 'mac']);
  await mac.images.delete(RemoteName.parse(`${REPOSITORY}@${digestOf('a')}`));
  expect(existsSync(directory)).toBe(false);
});

describe('a pin', () => {
  const tag = RemoteName.parse(`${REPOSITORY}:15`);

  it('keeps an image from every kind of pruning, and takes its room in the budget first', async () => {
    const at = session();
    plantImage(at, REPOSITORY, digestOf('a'), '15');
    plantImage(at, REPOSITORY, digestOf('b'), '16');
    expect(await pinImage(at, tag, true)).toMatchObject({ changed: true });
    expect(await pinImage(at, tag, true)).toMatchObject({ changed: false });
    const { deleted } = await prune(at, {
      entries: 'caches',
      olderThanMs: 0,
      budgetBytes: 0,
      freeBytes: 2 ** 60,
      collect: true,
    });
    expect(deleted.map(({ candidate }) => candidate.name.toString())).toEqual([`${REPOSITORY}@${digestOf('b')}`]);
    await pinImage(at, tag, false);
    expect((await prune(at, { entries: 'caches', olderThanMs: 0 })).deleted).toHaveLength(1);
  });

  it('keeps an image whose last tag is deleted, and refuses its digest', async () => {
    const at = session();
    const directory = plantImage(at, REPOSITORY, digestOf('a'), '15');
    await pinImage(at, tag, true);
    await at.images.delete(tag);
    const byDigest = RemoteName.parse(`${REPOSITORY}@${digestOf('a')}`);
    await expect(at.images.delete(byDigest)).rejects.toMatchObject({
      code: 'BUSY',
      message: `${byDigest.toString()} is pinned`,
    });
    expect(existsSync(directory)).toBe(true);
    await pinImage(at, byDigest, false);
    await at.images.delete(byDigest);
    expect(existsSync(directory)).toBe(false);
  });

  it('is kept when eight come at once, for one image and for others', async () => {
    const at = session();
    const digits = ['a', 'b', 'c', 'd'];
    const directories = digits.map((digit) => plantImage(at, REPOSITORY, digestOf(digit)));
    const pins = [...digits, 'a', 'a', 'b', 'b'].map(async (digit) =>
      pinImage(at, RemoteName.parse(`${REPOSITORY}@${digestOf(digit)}`), true),
    );
    await Promise.all(pins);
    expect(directories.map((directory) => existsSync(`${directory}/.pinned`))).toEqual([true, true, true, true]);
  });

  it('of what is not cached is an error', async () => {
    await expect(pinImage(session(), tag, true)).rejects.toMatchObject({ code: 'VM_NOT_FOUND' });
  });
});

/** One image of a random cache, and all that may protect it. */
const image = fc.record({
  repository: fc.constantFrom('registry.corp:8221/macos/base', 'registry.corp/linux/debian', 'ghcr.io/acme/ci'),
  tags: fc.nat(2),
  foreignLink: fc.boolean(),
  movedHome: fc.boolean(),
  explicit: fc.boolean(),
  pinned: fc.boolean(),
  leased: fc.boolean(),
  marked: fc.boolean(),
  minutes: fc.nat(30),
});

describe('whatever the cache is like', () => {
  property.prop([fc.array(image, { minLength: 1, maxLength: 8 }), fc.boolean()], { numRuns: 60 })(
    'collection takes exactly what nothing protects, symlinks never dangle, and a second one finds nothing',
    async (specs, all) => {
      const at = session();
      const planted = await Promise.all(specs.map(async (spec, index) => plant(at, spec, index)));
      const locks = await Promise.all(
        planted.map(async ({ spec, digest }) =>
          spec.leased ? at.images.lock(Digest.parse(digest), { mode: 'shared', wait: false }) : undefined,
        ),
      );
      const run = async (): Promise<number> =>
        all
          ? (await prune(at, { entries: 'caches', collect: true })).deleted.length
          : (await collectUnnamed(at)).deleted.length;
      await run();
      for (const { spec, directory } of planted)
        expect(existsSync(`${directory}/disk.img`), JSON.stringify(spec)).toBe(isProtected(spec, all));
      expect(danglingIn(at)).toEqual([]);
      expect(await run()).toBe(0);
      await Promise.all(locks.map(async (lock) => lock?.release()));
    },
  );
});

type Spec = typeof image extends fc.Arbitrary<infer T> ? T : never;

function isProtected(spec: Spec, all: boolean): boolean {
  const named = spec.tags > 0 || spec.foreignLink || spec.movedHome;
  return named || spec.explicit || spec.pinned || spec.leased || spec.minutes < 10 || (!all && !spec.marked);
}

async function plant(
  at: Session,
  spec: Spec,
  index: number,
): Promise<{ spec: Spec; digest: string; directory: string }> {
  const digest = `sha256:${String(index).padStart(64, '0')}`;
  const tags = ['one', 'two'].slice(0, spec.tags).map((tag) => `${tag}${index}`);
  const directory = plantImage(at, spec.repository, digest, ...tags);
  const links = `${at.home.imagesDirectory}/Odd Host/links`;
  mkdirSync(links, { recursive: true });
  if (spec.foreignLink) symlinkSync(directory, `${links}/${index}`);
  if (spec.movedHome) symlinkSync(`/old/home/${digest}`, `${path.dirname(directory)}/moved${index}`);
  if (spec.explicit) writeFileSync(`${directory}/.explicitly-pulled`, '');
  if (spec.pinned) writeFileSync(`${directory}/.pinned`, '');
  if (spec.marked) writeFileSync(`${directory}/.unnamed`, '');
  await recordUse(directory, new Date(NOW.getTime() - spec.minutes * MINUTE));
  return { spec, digest, directory };
}

/** Tags that lead to nothing by their text and by the digest in it. */
function danglingIn(at: Session): string[] {
  return at.images
    .walk()
    .entries.filter(
      ({ kind, path: link, name }) => kind === 'tag' && !existsSync(link) && !name.toString().includes(':moved'),
    )
    .map(({ path: link }) => link);
}
