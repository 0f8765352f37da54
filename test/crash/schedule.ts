import { setTimeout } from 'node:timers/promises';
import { Held } from './hold.ts';
import { type Claims, examineHome } from './operation.ts';
import type { Place } from './place.ts';
import { countCalls, type Fault, type Invocation, runPlainly } from './strace.ts';
import { earlier, spread } from './sweep.ts';

/** A command that waits for the held one is given so long before the held one goes on, in milliseconds. */
const PATIENCE_MS = 1_500;
/** Two commands that take longer together have locked each other out, in milliseconds (reliability §4.8). */
const DEADLOCK_MS = 30_000;

/** Two commands at once, of which one is held at each of its changes while the other runs (reliability §4.8). */
export interface Schedule {
  readonly name: string;
  /** The rows of the catalogue that this is about. */
  readonly rows: string;
  /** Makes everything as it is before both. */
  prepare(place: Place): Promise<void>;
  readonly commands: readonly [(place: Place) => Invocation, (place: Place) => Invocation];
  /** What must be true afterwards, whoever was first. */
  claims(place: Place): Claims;
  /** What must be true besides, given how both ended. */
  examine?(place: Place, codes: readonly [number | undefined, number | undefined]): Promise<string[]>;
}

/** The points at which a command is held: `count` of them, spread over all its changes. */
export async function holdingPoints(place: Place, schedule: Schedule, held: 0 | 1, count: number): Promise<Fault[]> {
  await schedule.prepare(place);
  const counts = await countCalls(schedule.commands[held](place), place.log());
  const all = [...counts].flatMap(([call, most]) =>
    Array.from({ length: most }, (_, index): Fault => ({ call, nth: index + 1, effect: 'SIGSTOP' })),
  );
  return spread(all, count);
}

/**
 * Holds one command at a point, lets the other run to its end (or wait for the held one), lets the held one go on, and
 * judges the home.
 *
 * @returns findings, one line each.
 */
export async function runSchedule(place: Place, schedule: Schedule, held: 0 | 1, point: Fault): Promise<string[]> {
  await schedule.prepare(place);
  const [first, second] = [schedule.commands[held], schedule.commands[held === 0 ? 1 : 0]];
  const deadline = setTimeout(DEADLOCK_MS, 'deadlock' as const, { ref: false });
  const a = await Held.start(first(place), point, place.log());
  const before = a instanceof Held ? undefined : earlier(point);
  if (before !== undefined) return runSchedule(place, schedule, held, before);
  if (!(a instanceof Held)) return [`V10 it never came to this point, and ended with ${a.exitCode}: ${a.stderr}`];
  const other = runPlainly(second(place));
  await Promise.race([other, setTimeout(PATIENCE_MS, undefined, { ref: false })]);
  const ends = await Promise.race([Promise.all([a.release(), other]), deadline]);
  if (ends === 'deadlock') {
    await a.kill();
    return [`they locked each other out for ${DEADLOCK_MS} ms`];
  }
  const [ours, theirs] = ends;
  const codes = held === 0 ? ([ours.exitCode, theirs.exitCode] as const) : ([theirs.exitCode, ours.exitCode] as const);
  const unexplained = [ours, theirs].filter(({ exitCode, stderr }) => exitCode !== 0 && !/^error\[/m.test(stderr));
  const findings = [
    ...unexplained.map(({ exitCode, stderr }) => `V8 it ended with ${exitCode} without a word: ${stderr}`),
    ...examineHome(place, schedule.claims(place), false),
    ...((await schedule.examine?.(place, codes)) ?? []),
  ];
  for (const command of schedule.commands) {
    const again = await runPlainly(command(place));
    if (again.exitCode !== 0) findings.push(`V5 the second run ended with ${again.exitCode}: ${again.stderr}`);
  }
  return [...findings, ...examineHome(place, schedule.claims(place), true)];
}
