import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { fc, test as property } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import type { Candidate } from '../../../src/home/prune/prune-candidate.ts';
import { chooseEntries, type PruneCriteria } from '../../../src/home/prune/prune-choice.ts';
import { prune, type PruneReport, type PruneRequest } from '../../../src/home/prune/prune.ts';
import { Digest } from '../../../src/names/digest.ts';
import { RemoteName } from '../../../src/names/remote-name.ts';
import type { Session } from '../../../src/session/session.ts';
import { digestOf, freshSession, plantImage, plantVm } from '../../support/home.ts';
import { runVm } from '../../support/running-vm.ts';
import { leaveOut } from '../../support/left-out.ts';

const DAY = 24 * 60 * 60 * 1000;
const NOW = new Date('2026-06-15T12:00:00Z');
const REPOSITORY = 'registry.corp:8221/macos/base';

function session(): Session {
  return freshSession({ now: () => NOW });
}

/** An image that was used so many days ago. */
function image(at: Session, digit: string, days: number, ...tags: string[]): string {
  const directory = plantImage(at, REPOSITORY, digestOf(digit), ...tags);
  age(directory, days);
  return directory;
}

function age(file: string, days: number): void {
  const date = new Date(NOW.getTime() - days * DAY);
  utimesSync(file, date, date);
}

const caches = (request: Partial<PruneRequest> = {}): PruneRequest => ({ entries: 'caches', ...request });

function names(report: PruneReport): string[] {
  return report.deleted.map(({ candidate, reason }) => `${path.basename(candidate.path).slice(0, 9)} ${reason}`);
}

function digests(at: Session): string[] {
  return readdirSync(`${at.home.imagesDirectory}/registry.corp%3A8221/macos/base`).map((name) => name.slice(0, 9));
}

describe('pruning by age', () => {
  it('deletes what was last used then or earlier, with its tags, and nothing else (tart-cli §7 #18)', async () => {
    const at = session();
    image(at, 'a', 8, 'old', 'older');
    image(at, 'b', 7, 'seven');
    image(at, 'c', 6.999, 'new');
    const report = await prune(at, caches({ olderThanMs: 7 * DAY }));
    expect(names(report)).toEqual(['sha256:aa age', 'sha256:bb age']);
    expect(digests(at)).toEqual(['new', 'sha256:cc']);
    expect(readdirSync(at.home.stagingDirectory)).toEqual([]);
  });

  it('takes restore images, and no other file beside them', async () => {
    const at = session();
    const directory = `${at.home.cacheDirectory}/IPSWs`;
    mkdirSync(directory, { recursive: true });
    for (const name of ['15.ipsw', '26.ipsw', 'notes.txt']) writeFileSync(`${directory}/${name}`, 'x');
    age(`${directory}/15.ipsw`, 30);
    age(`${directory}/26.ipsw`, 1);
    age(`${directory}/notes.txt`, 30);
    await prune(at, caches({ olderThanMs: 7 * DAY }));
    expect(readdirSync(directory)).toEqual(['26.ipsw', 'notes.txt']);
  });

  it('only says it when asked to', async () => {
    const at = session();
    image(at, 'a', 8, 'old');
    const report = await prune(at, caches({ olderThanMs: DAY, dryRun: true }));
    expect(names(report)).toEqual(['sha256:aa age']);
    expect(report.deleted[0]?.candidate).toMatchObject({ tags: [RemoteName.parse(`${REPOSITORY}:old`)] });
    expect(digests(at)).toEqual(['old', 'sha256:aa']);
  });
});

describe('pruning by space', () => {
  const candidate = (days: number, bytes: number): Candidate => ({
    kind: 'ipsw',
    name: `${days}`,
    path: `/${days}`,
    bytes,
    accessed: new Date(NOW.getTime() - days * DAY),
    pinned: false,
  });
  const gone = (criteria: PruneCriteria, all: Candidate[]): string[] =>
    chooseEntries(all, criteria, NOW).map(({ candidate: each, reason }) => `${each.name.toString()} ${reason}`);

  it('keeps from the newest on what still fits, so that an old small one may stay', () => {
    const all = [candidate(1, 40), candidate(2, 70), candidate(3, 50), candidate(4, 20)];
    expect(gone({ budgetBytes: 100 }, all)).toEqual(['4 budget', '2 budget']);
    expect(gone({ budgetBytes: 110 }, all)).toEqual(['4 budget', '3 budget']);
    expect(gone({ budgetBytes: 180 }, all)).toEqual([]);
    expect(gone({ budgetBytes: 0 }, all)).toEqual(['4 budget', '3 budget', '2 budget', '1 budget']);
  });

  it('comes after age: what is too old takes no room', () => {
    expect(gone({ budgetBytes: 40, olderThanMs: 2 * DAY }, [candidate(1, 40), candidate(2, 10)])).toEqual(['2 age']);
  });

  property.prop([
    fc.array(fc.record({ days: fc.integer({ min: 0, max: 50 }), bytes: fc.nat(1000) }), { maxLength: 20 }),
    fc.nat(5000),
  ])('what is kept always fits, and nothing that would have fit is deleted', (entries, budgetBytes) => {
    const all = entries.map(({ days, bytes }, index) => ({ ...candidate(days, bytes), path: `/${index}` }));
    const chosen = new Set(chooseEntries(all, { budgetBytes }, NOW).map((each) => each.candidate));
    const left = all.filter((each) => !chosen.has(each)).reduce((sum, each) => sum + each.bytes, 0);
    expect(left).toBeLessThanOrEqual(budgetBytes);
    for (const each of chosen) expect(left + each.bytes).toBeGreaterThan(budgetBytes);
  });

  it('counts what images occupy on the disk', async () => {
    const at = session();
    image(at, 'a', 2, 'old');
    image(at, 'b', 1, 'new');
    const [
      {
        candidate: { bytes },
      } = expect.fail('nothing chosen'),
    ] = (await prune(at, caches({ budgetBytes: 0, dryRun: true }))).deleted;
    expect(names(await prune(at, caches({ budgetBytes: 2 * bytes })))).toEqual([]);
    expect(names(await prune(at, caches({ budgetBytes: 2 * bytes - 1 })))).toEqual(['sha256:aa budget']);
  });
});

describe('what another process uses', () => {
  it.each(['shared', 'exclusive'] as const)(
    'is skipped while it is locked (%s), and the rest goes (tart-cli §7 #21)',
    async (mode) => {
      const at = session();
      image(at, 'a', 9, 'busy');
      image(at, 'b', 8, 'idle');
      const lock = await at.images.lock(Digest.parse(digestOf('a')), { mode, wait: false });
      const report = await prune(at, caches({ olderThanMs: 0 }));
      expect(names(report)).toEqual(['sha256:bb age']);
      expect(report.spared).toMatchObject([{ error: { code: 'BUSY' } }]);
      expect(digests(at)).toEqual(['busy', 'sha256:aa']);
      await lock?.release();
      expect(names(await prune(at, caches({ olderThanMs: 0 })))).toEqual(['sha256:aa age']);
    },
  );

  it.runIf(process.platform === 'linux')('is skipped while Tart holds its configuration', async () => {
    const at = session();
    const directory = image(at, 'a', 9, 'pushed');
    await runVm(directory);
    const report = await prune(at, caches({ olderThanMs: 0 }));
    expect(report.spared).toMatchObject([{ error: { code: 'BUSY' } }]);
    expect(digests(at)).toEqual(['pushed', 'sha256:aa']);
  });

  it('stays when it was used after it was chosen', async () => {
    const at = session();
    const used = image(at, 'b', 5, 'second');
    image(at, 'a', 9, 'first');
    const lock = at.images.lock.bind(at.images);
    at.images.lock = async (...args) => {
      age(used, 0);
      return lock(...args);
    };
    expect(names(await prune(at, caches({ olderThanMs: 0 })))).toEqual(['sha256:aa age']);
    expect(digests(at)).toEqual(['second', 'sha256:bb']);
  });
});

describe('pruning VMs', () => {
  it.runIf(process.platform === 'linux')('takes stopped and suspended ones, never one that runs', async () => {
    const at = session();
    for (const name of ['running', 'stopped', 'suspended', 'recent']) plantVm(`${at.home.vmsDirectory}/${name}`);
    writeFileSync(`${at.home.vmsDirectory}/suspended/state.vzvmsave`, '');
    mkdirSync(`${at.home.vmsDirectory}/no-vm`);
    await runVm(`${at.home.vmsDirectory}/running`);
    for (const name of ['running', 'stopped', 'suspended', 'no-vm']) age(`${at.home.vmsDirectory}/${name}`, 40);
    age(`${at.home.vmsDirectory}/recent`, 1);
    image(at, 'a', 90, 'old');
    await prune(at, { entries: 'vms', olderThanMs: 30 * DAY });
    expect(readdirSync(at.home.vmsDirectory).sort()).toEqual(['no-vm', 'recent', 'running']);
    expect(digests(at)).toEqual(['old', 'sha256:aa']);
  });
});

describe('what is broken or foreign', () => {
  it('neither stops it nor goes', async () => {
    const at = session();
    const half = image(at, 'a', 9, 'half');
    rmSync(`${half}/nvram.bin`);
    age(half, 9);
    const parent = path.dirname(half);
    symlinkSync('/nowhere/else', `${parent}/elsewhere`);
    mkdirSync(`${parent}/${digestOf('e')}`);
    const foreign = `${at.home.imagesDirectory}/Registry.Corp/base/${digestOf('f')}`;
    plantVm(foreign);
    age(foreign, 9);
    image(at, 'b', 8, 'good');
    const report = await prune(at, caches({ olderThanMs: 0, collect: true }));
    expect(names(report)).toEqual(['sha256:bb age']);
    expect(existsSync(foreign)).toBe(true);
    expect(readdirSync(parent).sort()).toEqual(['elsewhere', 'half', digestOf('a'), digestOf('e')].sort());
  });

  it('one that cannot be deleted is reported, and the rest goes', async (context) => {
    leaveOut(context, process.getuid?.() === 0, 'root may delete everything');
    const at = session();
    const stuck = plantImage(at, 'other.corp/base', digestOf('a'), 'stuck');
    age(stuck, 9);
    image(at, 'b', 8, 'good');
    chmodSync(path.dirname(stuck), 0o500);
    const report = await prune(at, caches({ olderThanMs: 0 }));
    chmodSync(path.dirname(stuck), 0o700);
    expect(report.spared).toMatchObject([{ error: { code: 'DISK_DENIED' } }]);
    expect(names(report)).toEqual(['sha256:bb age']);
  });

  it('a cache that is not there is an empty one', async () => {
    expect(await prune(session(), caches({ olderThanMs: 0, collect: true }))).toEqual({
      deleted: [],
      danglingTags: [],
      spared: [],
      freeBytes: undefined,
    });
  });
});

describe('collecting', () => {
  it('takes dangling tags and images that no tag leads to, and keeps what was pulled by digest', async () => {
    const at = session();
    const tagged = image(at, 'a', 1, 'good');
    image(at, 'b', 1);
    const explicit = image(at, 'c', 1);
    writeFileSync(`${explicit}/.explicitly-pulled`, '');
    const parent = path.dirname(tagged);
    symlinkSync(`${parent}/${digestOf('d')}`, `${parent}/dangling`);
    const report = await prune(at, caches({ collect: true }));
    expect(names(report)).toEqual(['sha256:bb unreferenced']);
    expect(report.danglingTags.map((tag) => tag.name.toString())).toEqual([`${REPOSITORY}:dangling`]);
    expect(digests(at)).toEqual(['good', 'sha256:aa', 'sha256:cc']);
  });

  it('keeps an image and the tag that names it by the path of another home (tart-cli §7 #19)', async () => {
    const at = session();
    const parent = path.dirname(image(at, 'a', 1));
    symlinkSync(`/Users/me/.tart/cache/OCIs/registry.corp%3A8221/macos/base/${digestOf('a')}`, `${parent}/moved`);
    await prune(at, caches({ collect: true }));
    expect(digests(at)).toEqual(['moved', 'sha256:aa']);
  });

  it('keeps an image that a process is about to link', async () => {
    const at = session();
    image(at, 'a', 1);
    const lock = await at.images.lock(Digest.parse(digestOf('a')), { mode: 'exclusive', wait: false });
    const report = await prune(at, caches({ collect: true }));
    expect(report.spared).toMatchObject([{ error: { code: 'BUSY' } }]);
    expect(digests(at)).toEqual(['sha256:aa']);
    await lock?.release();
  });

  it('keeps an image that was linked after it was chosen (tart-cli §7 #12)', async () => {
    const at = session();
    const directory = image(at, 'a', 1);
    const lock = at.images.lock.bind(at.images);
    at.images.lock = async (...args) => {
      symlinkSync(directory, `${path.dirname(directory)}/late`);
      return lock(...args);
    };
    expect(names(await prune(at, caches({ collect: true })))).toEqual([]);
    expect(digests(at)).toEqual(['late', 'sha256:aa']);
  });

  it('leaves a tag alone that leads elsewhere by now', async () => {
    const at = session();
    const directory = image(at, 'a', 1, 'good');
    const tag = `${path.dirname(directory)}/moving`;
    symlinkSync(`${path.dirname(directory)}/${digestOf('d')}`, tag);
    const lock = at.images.lock.bind(at.images);
    at.images.lock = async (...args) => {
      rmSync(tag);
      symlinkSync(directory, tag);
      return lock(...args);
    };
    const report = await prune(at, caches({ collect: true }));
    expect(report.danglingTags).toEqual([]);
    expect(lstatSync(tag).isSymbolicLink()).toBe(true);
    expect(digests(at)).toEqual(['good', 'moving', 'sha256:aa']);
  });
});
