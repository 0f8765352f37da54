import { appendFileSync } from 'node:fs';
import { examineHome, type Operation } from './operation.ts';
import type { Place } from './place.ts';
import { countCalls, type Effect, type Fault, runPlainly, runWithFault, type Traced } from './strace.ts';

/** The faults of a sweep: a kill, a full disk, a broken one. */
export const EFFECTS = ['SIGKILL', 'ENOSPC', 'EIO'] as const satisfies readonly Effect[];

/** Whether every point is tried (`npm run sweep`) or a choice of them. */
export const isFull = process.env['TARTLET_SWEEP'] === 'full';

/** Tells how much was tried: to whoever watches, and to `npm run sweep`, which keeps it. */
export function report(what: 'points' | 'schedules' | 'removals', name: string, count: number): void {
  const file = process.env['TARTLET_SWEEP_REPORT'];
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ what, name, count })}\n`);
  process.stdout.write(`${name}: ${count} ${what}\n`);
}

/** What one fault led to; no findings when every promise held. */
export interface Swept {
  readonly fault: Fault;
  readonly findings: readonly string[];
}

/** Every fault that can be planted into an operation: before each call, each effect. */
export async function faultsOf(place: Place, operation: Operation, effects: readonly Effect[]): Promise<Fault[]> {
  const counts = await countCalls(await operation.prepare(place), place.log());
  return effects.flatMap((effect) =>
    [...counts].flatMap(([call, count]) =>
      Array.from({ length: count }, (_, index) => ({ call, nth: index + 1, effect })),
    ),
  );
}

/**
 * Plants one fault: the command with it, the oracle; the command again without it, the oracle again. An error may be
 * survived, then the command must have succeeded; a kill may not.
 */
export async function plant(place: Place, operation: Operation, fault: Fault): Promise<Swept> {
  const invocation = await operation.prepare(place);
  const first = await runWithFault(invocation, fault, place.log());
  const before = first.fired ? undefined : earlier(fault);
  if (before !== undefined) return plant(place, operation, before);
  const findings = [
    ...judgeEnd(first, fault),
    ...(await examine(place, operation, false)).map((finding) => `after the fault: ${finding}`),
  ];
  const again = await runPlainly(invocation);
  if (again.exitCode !== 0) findings.push(`V5 the second run ended with ${again.exitCode}: ${again.stderr}`);
  findings.push(...(await examine(place, operation, true)).map((finding) => `after the second run: ${finding}`));
  return { fault, findings };
}

/** Calls that come more or less often with the pieces in which bytes arrive from the network. */
const VARYING: ReadonlySet<Fault['call']> = new Set(['pwrite64', 'pwritev']);

/**
 * The point before one that a run did not come to, for calls whose number differs from run to run: the first is always
 * there.
 */
export function earlier(fault: Fault): Fault | undefined {
  return VARYING.has(fault.call) && fault.nth > 1 ? { ...fault, nth: fault.nth - 1 } : undefined;
}

async function examine(place: Place, operation: Operation, isRecovered: boolean): Promise<string[]> {
  return [
    ...examineHome(place, operation.claims(place), isRecovered),
    ...((await operation.examine?.(place, isRecovered)) ?? []),
  ];
}

/** V8 and V10: the fault fired, and what the command said of it is for people. */
function judgeEnd({ exitCode, signal, stderr, fired }: Traced, { effect }: Fault): string[] {
  const findings: string[] = [];
  if (!fired) findings.push('V10 the fault did not fire');
  if (effect === 'SIGKILL' && signal !== 'SIGKILL') findings.push(`V10 it was not killed: exit ${exitCode}`);
  if (effect !== 'SIGKILL' && exitCode !== 0 && !/^error\[[A-Z_]+\]: /m.test(stderr)) {
    findings.push(`V8 it ended with ${exitCode ?? signal} without a word: ${stderr}`);
  }
  if (/^ +at /m.test(stderr)) findings.push(`V8 a stack trace: ${stderr}`);
  return findings;
}

/** Spreads a choice of `count` over all faults, the first and the last included; the same each time. */
export function spread(faults: readonly Fault[], count: number): Fault[] {
  if (faults.length <= count) return [...faults];
  return Array.from(
    { length: count },
    (_, index) => faults[Math.round((index * (faults.length - 1)) / (count - 1))],
  ).flatMap((fault) => fault ?? []);
}

/** `rename#2:SIGKILL` */
export function describeFault({ call, nth, effect }: Fault): string {
  return `${call}#${nth}:${effect}`;
}
