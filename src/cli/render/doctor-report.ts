import { type Finding, fixText, type Severity } from '../../doctor/finding.ts';
import type { RepairResult } from '../../doctor/repair-finding.ts';
import type { DoctorReport } from '../../doctor/run-doctor.ts';
import { coloursFor, type MaybeTerminal } from './colour.ts';
import { calledBy } from '../terminal/dialect.ts';
import { joined, type Printable, printable, printed } from '../terminal/printable.ts';
import { hintText, withHint } from './hint/text.ts';
import { humanBytes } from './quantity.ts';

const SEVERITIES: readonly Severity[] = ['damage', 'warning', 'note'];

export interface ReportStyle {
  readonly stream: MaybeTerminal;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What we were called by. */
  readonly programName: string;
  /** Whether repair was tried: then nothing is said of what it would do. */
  readonly fix: boolean;
}

/** Whether nothing is wrong; notes are about what is normal. */
export function isClean({ findings }: DoctorReport): boolean {
  return findings.every(({ severity }) => severity === 'note');
}

/** The worst first; each finding in lines of its own that can be searched for. */
export function doctorReportText(doctorReport: DoctorReport, style: ReportStyle): Printable {
  const colours = coloursFor(style.stream, style.environment);
  const marks: Readonly<Record<Severity, (text: Printable) => Printable>> = {
    damage: colours.red,
    warning: colours.yellow,
    note: colours.dim,
  };
  const lines = doctorReport.moved.map(({ from, to }) => printed`moved: ${printable(to)} (from ${printable(from)})`);
  lines.push(...doctorReport.repaired.flatMap((each) => repairedLines(each, colours.green, colours.yellow)));
  for (const severity of SEVERITIES) {
    for (const each of doctorReport.findings.filter((one) => one.severity === severity)) {
      const mark = marks[severity](printable(severity));
      lines.push(
        printed`${mark}: ${colours.bold(printable(each.id))}: ${printable(each.message)}`,
        ...placeLines(each),
      );
      const fix = fixText(each);
      if (fix !== null && !style.fix) lines.push(printed`  --fix: ${printable(fix)}`);
      if (each.next !== undefined)
        lines.push(printed`  next: ${printable(calledBy(style.programName, hintText(each.next)))}`);
    }
  }
  return joined([...lines, summary(doctorReport)].map((line) => printed`${line}\n`));
}

function placeLines({ name, path }: Finding): Printable[] {
  return [...(name === undefined ? [] : [printed`  ${printable(name)}`]), printed`  ${printable(path)}`];
}

function repairedLines(
  { finding, result, text, next }: RepairResult,
  good: (text: Printable) => Printable,
  bad: (text: Printable) => Printable,
): Printable[] {
  const mark = result === 'repaired' ? good(printed`repaired`) : bad(printed`not repaired`);
  return [printed`${mark}: ${printable(finding.id)}: ${printable(withHint(text, next))}`, ...placeLines(finding)];
}

function summary({ home, findings, repaired, totals, deep }: DoctorReport): Printable {
  const found = SEVERITIES.flatMap((severity) => {
    const count = findings.filter((each) => each.severity === severity).length;
    return count === 0 ? [] : `${severity} ${count}`;
  });
  const done = repaired.filter((each) => each.result === 'repaired').length;
  const what = [
    counted(totals.images, 'image', 'images') ?? 'no images',
    counted(totals.tags, 'tag', 'tags') ?? 'no tags',
    counted(totals.vms, 'VM', 'VMs') ?? 'no VMs',
    `${humanBytes(totals.imageBytesOnDisk, 1)} on disk`,
  ];
  const hashed = deep === undefined ? '' : `, ${humanBytes(deep.bytesChecked, 1)} hashed`;
  const repairedText = done === 0 ? '' : `, ${done} repaired`;
  return printable(
    `${home}: ${what.join(', ')}${hashed}: ${found.length === 0 ? 'clean' : found.join(', ')}${repairedText}`,
  );
}

function counted(count: number, one: string, many: string): string | undefined {
  return count === 0 ? undefined : `${count} ${count === 1 ? one : many}`;
}

/** The same for programs. Bytes are whole numbers. */
export function doctorReportJson(doctorReport: DoctorReport): object {
  const { home, findings, repaired, moved, totals, deep } = doctorReport;
  return {
    schema: 'tartlet.doctor/v1',
    home,
    clean: isClean(doctorReport),
    findings: findings.map(findingJson),
    repaired: repaired.map(({ finding, result, text, next }) => ({
      ...findingJson(finding),
      result,
      text: withHint(text, next),
    })),
    moved,
    totals,
    deep: deep ?? null,
  };
}

function findingJson(each: Finding): object {
  const { id, severity, path, name, message, extent, next } = each;
  return {
    id,
    severity,
    path,
    name: name ?? null,
    message,
    chunk: extent ?? null,
    fix: fixText(each),
    next: next === undefined ? null : hintText(next),
  };
}
