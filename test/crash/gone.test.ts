import { execFileSync } from 'node:child_process';
import { realpathSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWithParts } from '../support/real-parts.ts';
import { lookingPoints, type Removal, runRemoval } from './gone.ts';
import { Held } from './hold.ts';
import { movingTag } from './operation.ts';
import { Place } from './place.ts';
import { countLooks, type Invocation } from './strace.ts';
import { describeFault, isFull, report, spread } from './sweep.ts';

/** The pairs that are tried each time, and the points of each; `npm run sweep` tries all. */
const QUICK_PAIRS = new Set([
  'get, and delete of a VM',
  'inspect, and delete of a VM',
  'set, and rename of a VM',
  'stop, and delete of a VM',
  'clone of it, and delete of a VM',
  'clone of it, and clone of a VM',
  'push, and delete of a VM',
  'inspect, and delete of an image',
]);
const QUICK = 3;

const image = (place: Place): string => place.name('team/base:moving');
const vmDirectory = (place: Place): string => `${place.home}/vms/keep`;
const imageDirectory = (place: Place): string => realpathSync(path.join(place.home, movingTag(place)));

type Words = (place: Place) => readonly string[];

const run =
  (words: Words) =>
  (place: Place): Invocation =>
    place.command(...words(place));

const VM_REMOVALS: readonly (readonly [string, Words])[] = [
  ['delete', () => ['delete', 'keep']],
  ['rename', () => ['rename', 'keep', 'away']],
  ['clone', (place) => ['clone', place.name('team/other:1'), 'keep']],
];

const VM_COMMANDS: readonly (readonly [string, Words, true?])[] = [
  ['get', () => ['get', 'keep']],
  ['inspect', () => ['inspect', 'keep']],
  ['list', () => ['list']],
  ['set', () => ['set', 'keep', '--cpu', '6']],
  ['set of the disk', () => ['set', 'keep', '--disk-size', '2']],
  ['export', (place) => ['export', 'keep', `${place.user.directory}/keep.tar`]],
  ['clone of it', () => ['clone', 'keep', 'copy']],
  ['clone over it', (place) => ['clone', place.name('team/other:1'), 'keep']],
  ['create over it', () => ['create', '--linux', '--disk-size', '1', 'keep']],
  ['push', (place) => ['push', '--concurrency', '1', 'keep', place.name('team/pushed:1')]],
  [
    'push into the cache',
    (place) => ['push', '--concurrency', '1', '--populate-cache', 'keep', place.name('team/pushed:1')],
  ],
  ['rename of it', () => ['rename', 'keep', 'renamed']],
  ['delete of it', () => ['delete', 'keep']],
  ['prune of VMs', () => ['prune', '--entries', 'vms', '--older-than', '30']],
  ['pull', (place) => ['pull', '--concurrency', '1', place.name('team/base:new')]],
  ['doctor', () => ['doctor', '--fix', '--deep'], true],
];

const IMAGE_REMOVALS: readonly (readonly [string, Words])[] = [['delete', (place) => ['delete', image(place)]]];

const IMAGE_COMMANDS: readonly (readonly [string, Words, true?])[] = [
  ['fqn', (place) => ['fqn', image(place)]],
  ['inspect', (place) => ['inspect', image(place)]],
  ['list', () => ['list']],
  ['pin', (place) => ['pin', image(place)]],
  ['unpin', (place) => ['unpin', image(place)]],
  ['export', (place) => ['export', image(place), `${place.user.directory}/image.tar`]],
  ['clone', (place) => ['clone', image(place), 'copy']],
  ['push', (place) => ['push', '--concurrency', '1', image(place), place.name('team/pushed:2')]],
  ['pull', (place) => ['pull', '--concurrency', '1', image(place)]],
  ['pull beside', (place) => ['pull', '--concurrency', '1', place.name('team/base:new')]],
  ['delete', (place) => ['delete', image(place)]],
  ['prune', () => ['prune', '--older-than', '0']],
  ['doctor', () => ['doctor', '--fix', '--deep'], true],
];

function pairs(
  what: 'a VM' | 'an image',
  directory: Removal['directory'],
  commands: readonly (readonly [string, Words, true?])[],
  removals: readonly (readonly [string, Words])[],
): Removal[] {
  return commands.flatMap(([command, words, mayFind]) =>
    removals.map(([removal, remove]) => ({
      name: `${command}, and ${removal} of ${what}`,
      directory,
      command: run(words),
      removal: run(remove),
      ...(mayFind === undefined ? {} : { mayFind }),
    })),
  );
}

/** A suspended VM can be stopped without a program that runs it. */
const STOP: Removal = {
  name: 'stop, and delete of a VM',
  directory: vmDirectory,
  before: (place) => writeFileSync(`${vmDirectory(place)}/state.vzvmsave`, 'memory'),
  command: run(() => ['stop', 'keep']),
  removal: run(() => ['delete', 'keep']),
};

const ALL: readonly Removal[] = [
  ...pairs('a VM', vmDirectory, VM_COMMANDS, VM_REMOVALS),
  STOP,
  ...pairs('an image', imageDirectory, IMAGE_COMMANDS, IMAGE_REMOVALS),
];

/** Says whether the lock that a program takes to run a VM can be had now (tart-cli §4.2). */
const TRY_TO_RUN = `import fcntl,sys
try: fcntl.lockf(open(sys.argv[1]+'/config.json','r+'),fcntl.LOCK_EX|fcntl.LOCK_NB)
except BlockingIOError: print('locked')`;

describeWithParts('what goes while a command works on it (P34)', ['strace'], () => {
  let place: Place;

  beforeAll(async () => {
    place = await Place.make();
  });
  afterAll(async () => place.cleanup.run());

  it.each(ALL.filter(({ name }) => isFull || QUICK_PAIRS.has(name)))(
    'is not there or in use, and no damage: $name',
    { timeout: 3_600_000 },
    async (removal) => {
      const findings: Record<string, readonly string[]> = {};
      const all = await lookingPoints(place, removal);
      let reached = 0;
      for (const point of isFull ? all : spread(all, QUICK)) {
        const found = await runRemoval(place, removal, point);
        if (found !== undefined) reached += 1;
        if (found !== undefined && found.length > 0) findings[describeFault(point)] = found;
      }
      report('removals', removal.name, reached);
      expect(reached).toBeGreaterThan(0);
      expect(findings).toEqual({});
    },
  );

  it('cannot be started when it was asked whether it runs, and is about to be deleted (P35)', async () => {
    place.reset();
    const config = `${vmDirectory(place)}/config.json`;
    const looks = await countLooks(place.command('delete', 'keep'), place.log(), [config]);
    place.reset();
    // The last look before the rename: whether it is stacked.
    const point = { call: 'statx', nth: looks.get('statx') ?? 0, path: config } as const;
    const held = await Held.start(place.command('delete', 'keep'), point, place.log());
    if (!(held instanceof Held)) throw new Error(`it ended: ${held.stderr}`);
    try {
      expect(execFileSync('python3', ['-c', TRY_TO_RUN, vmDirectory(place)], { encoding: 'utf8' })).toBe('locked\n');
    } finally {
      await held.release();
    }
  });
});
