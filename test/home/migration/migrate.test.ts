import { describe, expect, test } from 'vitest';
import { Home } from '../../../src/home/home.ts';
import { migrateCache } from '../../../src/home/migration/migrate.ts';
import { Session } from '../../../src/transfer/session.ts';
import { temporaryFolder } from '../../support/folder.ts';
import { digestOfContent, OldCache } from '../../support/old-cache.ts';
import { tartList, tartWouldCollect } from '../../support/tart-rules.ts';

const AT = new Date('2026-06-15T12:00:00Z');
const A = digestOfContent('a');
const REGISTRY = 'registry.corp:8221';

function oldCache(): OldCache {
  return new OldCache(`${temporaryFolder()}/home`);
}

function sessionOf(cache: OldCache): Session {
  return new Session({ home: new Home(cache.root), platform: process.platform, now: () => AT });
}

describe('migration', () => {
  test('gives a folder that was renamed without its port the port back, and its tags their image', async () => {
    const cache = oldCache();
    cache.pull({ registry: REGISTRY, repository: 'macos/base', tag: 'latest', content: 'a', generation: 'raw' });
    cache.rename(REGISTRY, 'registry.corp');
    await migrateCache(sessionOf(cache));
    expect(tartList(cache.images)).toEqual([`${REGISTRY}/macos/base:latest`, `${REGISTRY}/macos/base@${A}`]);
    expect(tartWouldCollect(cache.images)).toEqual([]);
  });
});
