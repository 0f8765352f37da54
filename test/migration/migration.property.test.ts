import { readFileSync } from 'node:fs';
import { fc, it } from '@fast-check/vitest';
import { describe, expect } from 'vitest';
import { Home } from '../../src/home/home.ts';
import { migrateCache } from '../../src/migration/migrate.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import { Session } from '../../src/session/session.ts';
import { temporaryDirectory } from '../support/directory.ts';
import { OldCache, wholeImages } from '../support/old-cache.ts';
import { type Expectation, life, LivedCache } from '../support/old-cache-history.ts';
import { tartList, tartOpen, tartWouldCollect } from '../support/tart-rules.ts';

/** What ends a migration in the middle, as a kill would. */
const KILLED = new Error('killed');

function sessionOf(cache: OldCache): Session {
  return new Session({ home: new Home(cache.root), platform: process.platform });
}

/** Migrates until the step of this number. @returns whether it came so far, and which steps it took. */
async function migrateUntil(session: Session, last: number): Promise<{ wasKilled: boolean; steps: string[] }> {
  const steps: string[] = [];
  try {
    await migrateCache(session, {
      onStep: (step) => {
        if (steps.length === last) throw KILLED;
        steps.push(step);
      },
    });
    return { wasKilled: false, steps };
  } catch (error) {
    if (error !== KILLED) throw error;
    return { wasKilled: true, steps };
  }
}

function contents(cache: OldCache): string[] {
  const whole = wholeImages(`${cache.root}/cache`).map(({ digest, content }) => `${digest} ${content}`);
  return [...new Set(whole)].sort();
}

/** Every tag that evidence supports leads, under one of its names, to what was given to that name. */
async function expectNames(session: Session, expectations: readonly Expectation[]): Promise<void> {
  for (const { names } of expectations) {
    const found = await Promise.all(names.map(async (name) => session.images.find(RemoteName.parse(name))));
    const rivals = expectations.filter((each) => each.names.some((name) => names.includes(name)));
    const digest = found.find((image) => image !== undefined)?.digest.toString();
    // The winner of a name may be one whose image lost a file: then there is nothing to be found.
    if (digest === undefined && rivals.some((each) => !each.isWhole)) continue;
    expect(
      rivals.map((each) => each.digest),
      names.join(' or '),
    ).toContain(digest);
  }
}

/** Tart lists every whole image, opens those whose host it has a name for, and would collect none. */
function expectTartIsContent(cache: OldCache): void {
  expect(tartWouldCollect(cache.images)).toEqual([]);
  const whole = wholeImages(cache.images).map(({ path }) => path.slice(cache.images.length + 1));
  if (whole.some((place) => place.startsWith('bad%zz'))) return; // It cannot be told where these are from, and Tart's list crashes on them.
  const listed = tartList(cache.images);
  for (const place of whole) {
    const name = decodeURIComponent(place.replace(/\/(?=[^/]*$)/, '@'));
    expect(listed).toContain(name);
    if (!place.startsWith('my_host')) expect(tartOpen(cache.images, name), name).toBeDefined();
  }
}

/** A hundred lives take seconds, and many more on a machine that is busy with other things. In milliseconds. */
const RETRY_POLICY = 180_000;

describe('a cache after any life', { timeout: RETRY_POLICY }, () => {
  it.prop([life, fc.nat(40)], { numRuns: 100 })(
    'loses nothing, finds every name that evidence supports, and is in order for Tart, wherever the first migration was killed',
    async (events, last) => {
      const lived = new LivedCache(new OldCache(`${temporaryDirectory()}/home`));
      lived.live(events);
      const { cache } = lived;
      const session = sessionOf(cache);
      const before = contents(cache);
      const expected = lived.expectations();
      const killed = await migrateUntil(session, last);
      expect(contents(cache)).toEqual(before);
      const isProtected = killed.steps.some((step) => !/^(log|protect|marker)/.test(step));
      if (killed.wasKilled && isProtected) expect(tartWouldCollect(cache.images)).toEqual([]);
      await migrateCache(session);
      expect(contents(cache)).toEqual(before);
      await expectNames(session, expected);
      expectTartIsContent(cache);
      const settled = { tree: cache.tree(), log: logOf(cache) };
      await migrateCache(session);
      expect({ tree: cache.tree(), log: logOf(cache) }).toEqual(settled);
    },
  );
});

function logOf(cache: OldCache): string {
  try {
    return readFileSync(`${cache.root}/cache/.migrations.log`, 'utf8');
  } catch {
    return '';
  }
}
