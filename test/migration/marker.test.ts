import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { Home } from '../../src/home/home.ts';
import { migrateCache } from '../../src/migration/migrate.ts';
import { Session } from '../../src/session/session.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { digestOfContent, OldCache } from '../support/old-cache.ts';
import { tartOpen } from '../support/tart-rules.ts';

const NAME = 'registry.corp:8221/a:latest';
const NOTHING = { moved: [], tags: 0, protected: 0 };

function inOrder(): OldCache {
  const cache = new OldCache(`${temporaryDirectory()}/home`);
  cache.pull({ registry: 'registry.corp:8221', repository: 'a', tag: 'latest', content: 'a', generation: 'encoded' });
  return cache;
}

function sessionOf(root: string): Session {
  return new Session({ home: new Home(root), platform: process.platform });
}

describe('an idle check', () => {
  it('makes nothing where there is no cache', async () => {
    const root = `${temporaryDirectory()}/home`;
    expect(await migrateCache(sessionOf(root))).toMatchObject(NOTHING);
    expect(existsSync(root)).toBe(false);
  });

  it('remembers a cache that is in order, and takes no lock for it', async () => {
    const { root } = inOrder();
    expect(await migrateCache(sessionOf(root))).toMatchObject(NOTHING);
    expect(readdirSync(`${root}/cache`).sort()).toEqual(['.migrated.json', 'OCIs']);
  });

  it('does not look below the top again', async () => {
    const cache = inOrder();
    await migrateCache(sessionOf(cache.root));
    // Nothing that comes of renaming directories. A full look repairs it.
    cache.remove('registry.corp%3A8221/a/latest');
    symlinkSync(
      `/gone/cache/OCIs/registry.corp%3A8221/a/${digestOfContent('a')}`,
      `${cache.images}/registry.corp%3A8221/a/latest`,
    );
    expect(await migrateCache(sessionOf(cache.root))).toMatchObject(NOTHING);
    writeFileSync(`${cache.root}/cache/.migrated.json`, '{"torn');
    expect(await migrateCache(sessionOf(cache.root))).toMatchObject({ tags: 1 });
  });

  it.each<[what: string, change: (cache: OldCache) => void]>([
    ['a directory that loses its port', (cache) => cache.rename('registry.corp%3A8221', 'registry.corp')],
    [
      'a directory that an old Tart adds',
      (cache) => void cache.pull({ registry: 'h:1', repository: 'a', tag: 'v', content: 'b', generation: 'raw' }),
    ],
    [
      'an organisation that is moved into another registry',
      (cache) => {
        mkdirSync(`${cache.images}/registry.corp`);
        renameSync(`${cache.images}/registry.corp%3A8221/a`, `${cache.images}/registry.corp/a`);
      },
    ],
    ['a home that is moved', (cache) => cache.moveTo(`${path.dirname(cache.root)}/moved`)],
  ])('sees %s', async (_, change) => {
    const cache = inOrder();
    await migrateCache(sessionOf(cache.root));
    change(cache);
    const report = await migrateCache(sessionOf(cache.root));
    expect(report.moved.length + report.tags).toBeGreaterThan(0);
    expect(tartOpen(cache.images, NAME)).toBeDefined();
  });

  it('sees a home that is moved away and back again', async () => {
    const cache = inOrder();
    const first = cache.root;
    for (const root of [first, `${path.dirname(first)}/moved`, first]) {
      if (root !== cache.root) cache.moveTo(root);
      await migrateCache(sessionOf(root));
      expect(tartOpen(cache.images, NAME), root).toBeDefined();
    }
  });

  it('does not write the symlinks anew for each of two homes that share a cache, until one of them is gone', async () => {
    const { root, images } = inOrder();
    const directory = temporaryDirectory();
    const other = `${directory}/other`;
    mkdirSync(other);
    renameSync(`${root}/cache`, `${directory}/shared`);
    for (const home of [root, other]) symlinkSync(`${directory}/shared`, `${home}/cache`);
    for (const home of [root, other, root, other]) {
      expect(await migrateCache(sessionOf(home)), home).toMatchObject(NOTHING);
    }
    rmSync(`${root}/cache`);
    expect(await migrateCache(sessionOf(other))).toMatchObject({ ...NOTHING, tags: 1 });
    expect(tartOpen(images.replace(root, other), NAME)).toBeDefined();
  });
});
