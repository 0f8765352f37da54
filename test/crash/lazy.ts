import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { plantPretendQemu } from '../support/pretend-qemu.ts';
import type { Operation } from './operation.ts';
import { movingTag, otherTag } from './operation.ts';
import type { Place } from './place.ts';
import { type Invocation, runPlainly } from './strace.ts';

/*
 * What gives a VM its disk that begins before its image is here, at the mercy of faults. QEMU is a pretended one that
 * copies nothing, as its guest wrote nothing; what a real one does is for `test/real/lazy-kills.test.ts`.
 */

const IMAGE = 'team/base:new';

/** The command with a pretended QEMU. */
function withQemu(place: Place, ...args: readonly string[]): Invocation {
  const programs = path.join(place.directory, 'programs');
  if (!existsSync(programs)) plantPretendQemu(programs);
  const command = place.command(...args);
  const { PATH = '' } = command.environment;
  return {
    ...command,
    environment: { ...command.environment, PATH: `${programs}:${PATH}`, PRETENDED_PHASE: 'mirroring' },
  };
}

const clone = (place: Place): Invocation => place.command('clone', '--lazy=always', place.name(IMAGE), 'lazy');
const run = (place: Place): Invocation => withQemu(place, 'run', 'lazy', '--no-graphics');

async function done(invocation: Invocation): Promise<void> {
  const { exitCode, stderr } = await runPlainly(invocation);
  if (exitCode !== 0) throw new Error(stderr);
}

function claims(place: Place, newVm: readonly string[]): ReturnType<Operation['claims']> {
  return {
    vms: { keep: 'keep' },
    newVms: { lazy: newVm },
    finished: ['other', 'old'],
    tags: { [otherTag(place)]: ['other'], [movingTag(place)]: ['old'] },
  };
}

/** Once a run was not disturbed, nothing is left of the way there. */
async function lookForRest(place: Place, isRecovered: boolean): Promise<string[]> {
  if (!isRecovered) return [];
  const files = readdirSync(place.user.vmDirectory('lazy'));
  return [
    ...files.filter((name) => /lazy|\.sock$|\.new$/.test(name)).map((name) => `V4 left behind: ${name}`),
    ...(files.includes('disk.img') ? [] : ['V9 the VM has no disk']),
  ];
}

const cloneLazily: Operation = {
  name: 'clone --lazy',
  quick: 2,
  leastFlushes: 6,
  leastPoints: 12,
  async prepare(place) {
    place.reset();
    return clone(place);
  },
  claims: (place) => claims(place, ['lazy']),
};

/** The image came meanwhile, and the guest wrote nothing: it is a clone like any other. */
const cloneAtStart: Operation = {
  name: 'run, whose image came meanwhile',
  quick: 2,
  leastFlushes: 4,
  leastPoints: 15,
  async prepare(place) {
    place.reset();
    await done(clone(place));
    await done(place.command('pull', place.name(IMAGE)));
    return run(place);
  },
  claims: (place) => claims(place, ['lazy', 'new']),
  examine: lookForRest,
};

/** All of the way: the image is pulled, copied, and takes the place of the lazy disk. */
const goOver: Operation = {
  name: 'run, which brings the disk',
  quick: 4,
  leastFlushes: 12,
  leastPoints: 40,
  async prepare(place) {
    place.reset();
    await done(clone(place));
    return run(place);
  },
  claims: (place) => claims(place, ['lazy', 'new']),
  examine: lookForRest,
};

export const LAZY_OPERATIONS: readonly Operation[] = [cloneLazily, cloneAtStart, goOver];
