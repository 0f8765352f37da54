import type { HostCheck } from '../../host/check-host.ts';
import { calledBy } from '../terminal/dialect.ts';
import { joined, type Printable, printable, printed } from '../terminal/printable.ts';
import { coloursFor, type MaybeTerminal } from './colour.ts';
import { hintText } from './hint/text.ts';

/** The worst last of those that are no trouble, and first of all others. */
const ORDER = ['damage', 'warning', 'note', 'ok'] as const;

/** Whether VMs run here as they should; notes are about what not every user needs. */
export function isHostClean(checks: readonly HostCheck[]): boolean {
  return checks.every(({ severity }) => severity === 'ok' || severity === 'note');
}

/** Each thing in a line of its own, with what repairs it in the next. */
export function hostText(
  checks: readonly HostCheck[],
  style: {
    readonly stream: MaybeTerminal;
    readonly environment: Readonly<Record<string, string | undefined>>;
    readonly programName: string;
  },
): Printable {
  const colours = coloursFor(style.stream, style.environment);
  const marks: Readonly<Record<HostCheck['severity'], (text: Printable) => Printable>> = {
    damage: colours.red,
    warning: colours.yellow,
    note: colours.dim,
    ok: colours.green,
  };
  const lines = ORDER.flatMap((severity) =>
    checks
      .filter((each) => each.severity === severity)
      .flatMap(({ id, message, next }) => [
        printed`${marks[severity](printable(severity))}: ${colours.bold(printable(id))}: ${printable(message)}`,
        ...(next === undefined ? [] : [printed`  next: ${printable(calledBy(style.programName, hintText(next)))}`]),
      ]),
  );
  const found = ORDER.flatMap((severity) => {
    const count = checks.filter((each) => each.severity === severity).length;
    return count === 0 ? [] : `${severity} ${count}`;
  });
  return joined([...lines, printable(`this machine: ${found.join(', ')}`)].map((line) => printed`${line}\n`));
}

/** The same for programs. */
export function hostJson(checks: readonly HostCheck[], programName: string): object {
  return {
    schema: 'tartlet.doctor-host/v1',
    clean: isHostClean(checks),
    checks: checks.map(({ id, severity, message, next }) => ({
      id,
      severity,
      message,
      next: next === undefined ? null : calledBy(programName, hintText(next)),
    })),
  };
}
