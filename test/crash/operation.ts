import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { digestOfTag } from '../support/real-seed.ts';
import { type Expectation, judge } from './oracle.ts';
import type { Place } from './place.ts';
import { type Invocation, runPlainly } from './strace.ts';

/** What an oracle must find; the rest is the same for all. */
export type Claims = Omit<Expectation, 'home' | 'known' | 'foreign' | 'isRecovered'>;

/** A command that is hit by faults. */
export interface Operation {
  readonly name: string;
  /** So many points at least, or the counting is broken and the sweep proves nothing (reliability §4.4). */
  readonly leastPoints: number;
  /** The same for the flushes of files and directories (reliability §4.6). */
  readonly leastFlushes: number;
  /** Faults that are planted where not all are. Default: as for the others. */
  readonly quick?: number;
  /** Makes everything as it is before the command. */
  prepare(place: Place): Promise<Invocation>;
  /** What the oracle must find, after a fault and after the second run. */
  claims(place: Place): Claims;
  /** What no home can tell: the registry's side, the file of the logins. Findings, one line each. */
  examine?(place: Place, isRecovered: boolean): Promise<string[]>;
}

/** What no command here touches. */
export const KEEP = { vms: { keep: 'keep' }, newVms: {} };

/** The symlink of the tag that moves. */
export const movingTag = (place: Place): string => `${place.repositoryPath('team/base')}/moving`;
/** The symlink of the tag of the other image. */
export const otherTag = (place: Place): string => `${place.repositoryPath('team/other')}/1`;

/** Asks the oracle. */
export function examineHome(place: Place, claims: Claims, isRecovered: boolean): string[] {
  const { home, known, foreign } = place;
  return judge({ home, known, foreign, isRecovered, ...claims });
}

/** A pull that replaces an image: the tag leads to the old or the new one at any moment. */
const pull: Operation = {
  name: 'pull',
  leastFlushes: 8,
  leastPoints: 30,
  async prepare(place) {
    place.reset();
    await place.moveTag('new');
    return place.command('pull', '--concurrency', '1', place.name('team/base:moving'));
  },
  claims: (place) => ({
    ...KEEP,
    finished: ['other'],
    tags: { [otherTag(place)]: ['other'], [movingTag(place)]: ['old', 'new'] },
  }),
};

/** A push over a tag that leads to a complete image: it does at any moment. */
const push: Operation = {
  name: 'push',
  leastFlushes: 3,
  leastPoints: 5,
  async prepare(place) {
    place.reset();
    await place.moveTag('old');
    return place.command('push', '--concurrency', '1', 'keep', place.name('team/base:moving'));
  },
  claims: (place) => ({
    ...KEEP,
    finished: ['other', 'old'],
    tags: { [otherTag(place)]: ['other'], [movingTag(place)]: ['old'] },
  }),
  async examine(place, isRecovered) {
    const { port } = place.registry;
    const digest = await digestOfTag(port, 'team/base', 'moving');
    const isOld = digest === (await digestOfTag(port, 'team/base', 'old'));
    if (isOld) return isRecovered ? ['V9 the pushed tag did not move'] : [];
    return missingBlobs(place, 'moving');
  },
};

async function missingBlobs(place: Place, tag: string): Promise<string[]> {
  const at = `http://127.0.0.1:${place.registry.port}/v2/team/base`;
  const manifest = (await (await fetch(`${at}/manifests/${tag}`)).json()) as {
    config: { digest: string };
    layers: { digest: string }[];
  };
  const findings: string[] = [];
  for (const { digest } of [manifest.config, ...manifest.layers]) {
    const { status } = await fetch(`${at}/blobs/${digest}`, { method: 'HEAD' });
    if (status !== 200) findings.push(`V9 the tag ${tag} needs ${digest}, which is not there`);
  }
  return findings;
}

const clone: Operation = {
  name: 'clone',
  leastFlushes: 4,
  leastPoints: 10,
  async prepare(place) {
    place.reset();
    return place.command('clone', place.name('team/other:1'), 'copy');
  },
  claims: (place) => ({
    vms: { keep: 'keep' },
    newVms: { copy: 'other' },
    finished: ['other', 'old'],
    tags: { [otherTag(place)]: ['other'], [movingTag(place)]: ['old'] },
  }),
};

/** A cache that a Tart before 2.11.0 wrote: the first command that opens it moves everything to its true place. */
const migrate: Operation = {
  name: 'migrate',
  leastFlushes: 2,
  leastPoints: 8,
  async prepare(place) {
    place.reset();
    place.makeOld();
    return place.command('list');
  },
  claims: () => ({ ...KEEP, finished: ['other', 'old'], tags: {} }),
  async examine(place, isRecovered) {
    if (!isRecovered) return [];
    const { stdout } = await place.user.run('list', '--quiet');
    return ['team/other:1', 'team/base:moving']
      .map((name) => place.name(name))
      .filter((name) => !stdout.split('\n').includes(name))
      .map((name) => `V1 ${name} is not listed after the migration`);
  },
};

/** Puts the file of the logins back to one login, which must survive whatever happens. */
export function writeLogins(place: Place): void {
  const directory = dockerDirectory(place);
  for (const entry of readdirSync(directory)) rmSync(path.join(directory, entry), { recursive: true });
  const before = { auths: { 'registry.example:8221': { auth: 'dTpw' } } };
  writeFileSync(path.join(directory, 'config.json'), JSON.stringify(before), { mode: 0o600 });
}

/** The logins of the file, by registry. */
export function readLogins(place: Place): Readonly<Record<string, { readonly auth: string }>> {
  const text = readFileSync(path.join(dockerDirectory(place), 'config.json'), 'utf8');
  return (JSON.parse(text) as { auths: Record<string, { auth: string }> }).auths;
}

function dockerDirectory(place: Place): string {
  return place.user.environment['DOCKER_CONFIG'] ?? '';
}

const login: Operation = {
  name: 'login',
  leastFlushes: 2,
  leastPoints: 3,
  async prepare(place) {
    place.reset();
    writeLogins(place);
    const command = place.command('login', place.address, '--username', 'ci', '--password-stdin', '--no-validate');
    return { ...command, input: 'secret\n' };
  },
  claims: () => ({ ...KEEP, finished: ['other', 'old'], tags: {} }),
  async examine(place, isRecovered) {
    const directory = dockerDirectory(place);
    const logins = readLogins(place);
    const others = readdirSync(directory).filter((entry) => entry !== 'config.json');
    // What a kill left is taken away once it is old enough to be nobody's any more (reliability S30): it is now.
    for (const entry of others) utimesSync(path.join(directory, entry), 0, 0);
    return [
      ...(logins['registry.example:8221']?.auth === 'dTpw' ? [] : ['P6 another login was lost']),
      ...((statSync(path.join(directory, 'config.json')).mode & 0o777) === 0o600
        ? []
        : ['P6 others may read the logins']),
      ...(isRecovered && logins[place.address] === undefined ? ['P6 the login is not there'] : []),
      ...(isRecovered ? others.map((entry) => `V4 left behind: ${entry}`) : []),
    ];
  },
};

/**
 * Deletes an image with its tag; any image is whole or gone at any moment, and no tag leads to nothing (reliability
 * P4).
 */
const prune: Operation = {
  name: 'prune',
  leastFlushes: 4,
  leastPoints: 10,
  async prepare(place) {
    place.reset();
    return place.command('prune', '--older-than', '0');
  },
  claims: () => ({ ...KEEP, finished: [], tags: {} }),
  examine: async (place) => danglingTags(place),
};

/** A pull that moves the last tag of an image which nobody used for a day, and so collects it (tart-cli §4.6). */
const collect: Operation = {
  name: 'collect',
  leastFlushes: 10,
  leastPoints: 35,
  async prepare(place) {
    const command = await pull.prepare(place);
    const dayAgo = Date.now() / 1000 - 24 * 3600;
    for (const image of [movingTag(place), otherTag(place)]) {
      const record = path.join(realpathSync(path.join(place.home, image)), '.last-used');
      utimesSync(record, dayAgo, dayAgo);
    }
    return command;
  },
  claims: pull.claims,
  examine: async (place) => danglingTags(place),
};

/** A rollout: the tag leads to the old or the new image at any moment, and the old one is there whatever happens. */
const prefetch: Operation = {
  name: 'prefetch',
  quick: 5,
  leastFlushes: 12,
  leastPoints: 50,
  async prepare(place) {
    place.reset();
    await place.moveTag('new');
    return place.command('prefetch', '--concurrency', '1', place.name('team/base:moving'));
  },
  claims: (place) => ({
    ...KEEP,
    finished: ['other', 'old'],
    tags: { [otherTag(place)]: ['other'], [movingTag(place)]: ['old', 'new'] },
  }),
  examine: async (place, isRecovered) => examineRollout(place, isRecovered, { to: 'new', from: 'old' }),
};

/** The way back, without any network. */
const rollback: Operation = {
  name: 'rollback',
  quick: 3,
  leastFlushes: 5,
  leastPoints: 12,
  async prepare(place) {
    await runPlainly(await prefetch.prepare(place));
    return place.command('prefetch', 'rollback', place.name('team/base:moving'));
  },
  claims: (place) => ({
    ...KEEP,
    finished: ['other', 'old', 'new'],
    tags: { [otherTag(place)]: ['other'], [movingTag(place)]: ['old', 'new'] },
  }),
  // The second run after one that was killed finishes it, and after one that had come to its end goes forward again.
  examine: async (place) => examineRollout(place, false, { to: 'old', from: 'new' }),
};

/** The record can be read at any moment, by the command as well; in the end it says what the symlink says. */
async function examineRollout(
  place: Place,
  isRecovered: boolean,
  { to, from }: { readonly to: 'old' | 'new'; readonly from: 'old' | 'new' },
): Promise<string[]> {
  const { exitCode, stdout, stderr } = await place.user.run('prefetch', '--status', '--format', 'json');
  if (exitCode !== 0) return [`P6 the record cannot be read: ${stderr}`];
  if (!isRecovered) return [];
  const { images } = JSON.parse(stdout) as { images: { digest: string; previous: string; error: unknown }[] };
  const { port } = place.registry;
  const wanted = {
    digest: await digestOfTag(port, 'team/base', to),
    previous: await digestOfTag(port, 'team/base', from),
    error: null,
  };
  const [image] = images;
  const marks = [wanted.digest, wanted.previous].filter(
    (digest = '') => !existsSync(path.join(place.home, place.repositoryPath('team/base'), digest, '.pinned')),
  );
  return [
    ...(image?.digest === wanted.digest ? [] : [`V9 the tag leads to ${image?.digest}`]),
    ...(image?.previous === wanted.previous ? [] : [`V9 the way back leads to ${image?.previous}`]),
    ...(image?.error === null ? [] : ['V9 the second run failed']),
    ...marks.map((digest) => `V9 ${digest} is not kept`),
  ];
}

function danglingTags(place: Place): string[] {
  const cache = path.join(place.home, 'cache/OCIs');
  return readdirSync(cache, { recursive: true, encoding: 'utf8' })
    .map((entry) => path.join(cache, entry))
    .filter((entry) => lstatSync(entry).isSymbolicLink() && !existsSync(entry))
    .map((link) => `the symlink ${link} leads to nothing`);
}

/** What is swept, in the order of the catalogue (reliability §4.2). */
export const OPERATIONS: readonly Operation[] = [pull, push, clone, prune, collect, migrate, login].concat([
  prefetch,
  rollback,
]);
