import { readdirSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { Held } from './hold.ts';
import { judge } from './oracle.ts';
import type { Place } from './place.ts';
import { countLooks, type Fault, type Invocation, runPlainly } from './strace.ts';

/** A removal that waits for the held command is given so long before the held one goes on, in milliseconds. */
const PATIENCE_MS = 1_500;

/** Files that a VM or an image may have besides those that it has. */
const POSSIBLE_FILES = [
  'manifest.json',
  'state.vzvmsave',
  'overlay.asif',
  '.origin.json',
  '.pinned',
  '.disk-seal.json',
];

/** What may be said of a VM or an image that went meanwhile: nothing, that it is not there, or that it is in use. */
const HONEST = new Set(['VM_NOT_FOUND', 'NOT_FOUND', 'BUSY', 'VM_RUNNING', 'VM_EXISTS']);

/** VMs that may be there afterwards: `keep` or what came in its place, and copies of either, but nothing of both. */
const NEW_VMS = {
  keep: 'any',
  away: 'any',
  renamed: 'any',
  copy: ['keep', 'other', 'old', 'new'],
};

/** A command that works on a VM or an image, and one that takes that away. */
export interface Removal {
  readonly name: string;
  /** What is taken away, below the home. */
  readonly directory: (place: Place) => string;
  readonly command: (place: Place) => Invocation;
  readonly removal: (place: Place) => Invocation;
  /** Ends with another status than 0 when it finds something, without an error. */
  readonly mayFind?: true;
  /** What is done to the home before. */
  readonly before?: (place: Place) => void;
}

function watched(directory: string): string[] {
  const names = new Set([...readdirSync(directory), ...POSSIBLE_FILES]);
  return [directory, ...[...names].map((name) => `${directory}/${name}`)];
}

/** Every point at which a command looks at what will be taken away. */
export async function lookingPoints(place: Place, { directory, command, before }: Removal): Promise<Fault[]> {
  place.reset();
  before?.(place);
  const path = watched(directory(place));
  const counts = await countLooks(command(place), place.log(), path);
  return [...counts].flatMap(([call, most]) =>
    Array.from({ length: most }, (_, index): Fault => ({ call, nth: index + 1, effect: 'SIGSTOP', path })),
  );
}

/**
 * Holds a command when it has looked, lets the removal run, and the command go on.
 * @returns findings, one line each; undefined when it ended without coming to this point: looks are of several threads,
 * and not always as many.
 */
export async function runRemoval(place: Place, of: Removal, point: Fault): Promise<string[] | undefined> {
  place.reset();
  of.before?.(place);
  const held = await Held.start(of.command(place), point, place.log());
  if (!(held instanceof Held)) return undefined;
  const removing = runPlainly(of.removal(place));
  await Promise.race([removing, setTimeout(PATIENCE_MS, undefined, { ref: false })]);
  const [ours, theirs] = await Promise.all([held.release(), removing]);
  const { home, known, foreign } = place;
  return [
    ...judgeEnd(ours, of.mayFind),
    ...judgeEnd(theirs, undefined).map((finding) => `the removal: ${finding}`),
    ...judge({ home, known, foreign, finished: [], tags: {}, vms: {}, newVms: NEW_VMS, isRecovered: false }),
  ];
}

interface End {
  readonly exitCode: number | undefined;
  readonly stderr: string;
}

function judgeEnd({ exitCode, stderr }: End, mayFind: true | undefined): string[] {
  const code = /^error\[([A-Z_]+)\]/m.exec(stderr)?.[1];
  if (exitCode === 0 || (code !== undefined && HONEST.has(code))) return [];
  return mayFind === true && code === undefined && exitCode === 1 ? [] : [`it ended with ${exitCode}: ${stderr}`];
}
