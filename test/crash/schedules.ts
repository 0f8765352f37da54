import { readlinkSync, rmSync } from 'node:fs';
import { KEEP, movingTag, otherTag, readLogins, writeLogins } from './operation.ts';
import type { Place } from './place.ts';
import type { Schedule } from './schedule.ts';
import type { Invocation } from './strace.ts';

const pullMoving = (place: Place): Invocation =>
  place.command('pull', '--concurrency', '1', place.name('team/base:moving'));
const pullNew = (place: Place): Invocation => place.command('pull', '--concurrency', '1', place.name('team/base:new'));
const cloneOther = (place: Place): Invocation => place.command('clone', place.name('team/other:1'), 'copy');
const cloneMoving = (place: Place): Invocation => place.command('clone', place.name('team/base:moving'), 'copy');
const pruneAll = (place: Place): Invocation => place.command('prune', '--older-than', '0');

/** The cache as it is, and a newer image behind the tag in the registry. */
async function withNewImage(place: Place): Promise<void> {
  place.reset();
  await place.moveTag('new');
}

/** The cache as a Tart before 2.11.0 wrote it. */
async function withOldCache(place: Place): Promise<void> {
  place.reset();
  place.makeOld();
}

/** Nothing but what no command of these touches. */
const NOTHING = { ...KEEP, finished: [], tags: {} };

const login =
  (user: string, host: string) =>
  (place: Place): Invocation => ({
    ...place.command('login', host, '--username', user, '--password-stdin', '--no-validate'),
    input: 'secret\n',
  });

function accounts(place: Place): string[] {
  return Object.keys(readLogins(place)).sort();
}

/** The pairs of reliability §4.8 that exist here: there is nothing that runs VMs yet, and `serve` serves no cache. */
export const SCHEDULES: readonly Schedule[] = [
  {
    name: 'pull and pull of the same tag',
    rows: 'P13',
    prepare: withNewImage,
    commands: [pullMoving, pullMoving],
    claims: (place) => ({
      ...KEEP,
      finished: ['other', 'new'],
      tags: { [movingTag(place)]: ['new'], [otherTag(place)]: ['other'] },
    }),
    examine: async (place, codes) => [...bothSucceed(codes), ...fetchedOnce(place)],
  },
  {
    name: 'pull and pull of two tags of one digest',
    rows: 'P14',
    prepare: withNewImage,
    commands: [pullMoving, pullNew],
    claims: (place) => ({
      ...KEEP,
      finished: ['other', 'new'],
      tags: { [movingTag(place)]: ['new'], [`${place.repositoryPath('team/base')}/new`]: ['new'] },
    }),
    examine: async (place, codes) => [...bothSucceed(codes), ...fetchedOnce(place)],
  },
  {
    name: 'pull and prune',
    rows: 'P15',
    prepare: withNewImage,
    commands: [pullMoving, pruneAll],
    claims: () => NOTHING,
    examine: async (_place, codes) => bothSucceed(codes),
  },
  {
    name: 'clone and prune',
    rows: 'P16',
    prepare: async (place) => place.reset(),
    commands: [cloneOther, pruneAll],
    claims: () => ({ ...NOTHING, newVms: { copy: 'other' } }),
    examine: async (_place, [, pruned]) => (pruned === 0 ? [] : [`prune ended with ${pruned}`]),
  },
  {
    name: 'clone and a pull that moves its tag',
    rows: 'P17',
    prepare: withNewImage,
    commands: [cloneMoving, pullMoving],
    claims: (place) => ({
      ...KEEP,
      newVms: { copy: ['old', 'new'] },
      finished: ['other', 'new'],
      tags: { [movingTag(place)]: ['new'] },
    }),
    examine: async (_place, codes) => bothSucceed(codes),
  },
  {
    name: 'clone and create, which takes away what killed commands left',
    rows: 'P20',
    prepare: async (place) => place.reset(),
    commands: [cloneOther, (place) => place.command('create', '--linux', '--disk-size', '1', 'fresh')],
    claims: (place) => ({
      ...KEEP,
      newVms: { copy: 'other', fresh: 'any' },
      finished: ['other', 'old'],
      tags: { [otherTag(place)]: ['other'] },
    }),
    examine: async (_place, codes) => bothSucceed(codes),
  },
  {
    name: 'prune and prune',
    rows: 'P18',
    prepare: async (place) => place.reset(),
    commands: [pruneAll, pruneAll],
    claims: () => NOTHING,
    examine: async (_place, codes) => bothSucceed(codes),
  },
  {
    name: 'migration and a pull into the old cache',
    rows: 'P5',
    prepare: async (place) => {
      await withNewImage(place);
      place.makeOld();
    },
    commands: [(place) => place.command('list'), pullMoving],
    claims: (place) => ({
      ...KEEP,
      finished: ['other', 'new'],
      tags: { [movingTag(place)]: ['new'], [otherTag(place)]: ['other'] },
    }),
    examine: async (_place, codes) => bothSucceed(codes),
  },
  {
    name: 'migration and a clone of what it moves',
    rows: 'P5',
    prepare: withOldCache,
    commands: [(place) => place.command('list'), cloneOther],
    claims: (place) => ({
      ...KEEP,
      newVms: { copy: 'other' },
      finished: ['other', 'old'],
      tags: { [movingTag(place)]: ['old'], [otherTag(place)]: ['other'] },
    }),
    examine: async (_place, codes) => bothSucceed(codes),
  },
  {
    name: 'migration and a look at what it moves',
    rows: 'P5',
    prepare: withOldCache,
    commands: [(place) => place.command('list'), (place) => place.command('inspect', place.name('team/base:moving'))],
    claims: (place) => ({
      ...KEEP,
      finished: ['other', 'old'],
      tags: { [movingTag(place)]: ['old'], [otherTag(place)]: ['other'] },
    }),
    examine: async (_place, codes) => bothSucceed(codes),
  },
  {
    name: 'doctor that repairs an image and a pull that moves a tag',
    rows: 'P15',
    prepare: async (place) => {
      await withNewImage(place);
      rmSync(`${readlinkSync(`${place.home}/${otherTag(place)}`)}/nvram.bin`);
    },
    commands: [(place) => place.command('doctor', '--fix', '--insecure'), pullMoving],
    claims: (place) => ({
      ...KEEP,
      finished: ['other', 'new'],
      tags: { [movingTag(place)]: ['new'], [otherTag(place)]: ['other'] },
    }),
    examine: async (_place, codes) => bothSucceed(codes),
  },
  {
    name: 'login and login to another registry',
    rows: 'P6',
    prepare: async (place) => {
      place.reset();
      writeLogins(place);
    },
    commands: [login('a', 'one.example:8221'), login('b', 'two.example:8221')],
    claims: () => NOTHING,
    examine: async (place) =>
      accounts(place).join() === 'one.example:8221,registry.example:8221,two.example:8221'
        ? []
        : [`logins: ${accounts(place).join()}`],
  },
];

function bothSucceed(codes: readonly (number | undefined)[]): string[] {
  return codes.every((code) => code === 0) ? [] : [`they ended with ${codes.join(' and ')}`];
}

/** Two pulls of one digest move its bytes once. */
function fetchedOnce(place: Place): string[] {
  const blobs = place.registry.requests.filter((request) => request.startsWith('GET /v2/team/base/blobs/'));
  return blobs.length === new Set(blobs).size ? [] : ['a blob was fetched twice'];
}
