import { type Finding, fixText, type Severity } from '../../doctor/finding.ts';
import type { Mended } from '../../doctor/mend.ts';
import type { Examination } from '../../doctor/examine.ts';
import { coloursFor, type MaybeTerminal } from './colour.ts';
import { joined, type Printable, printable, printed } from '../terminal/printable.ts';
import { hintText, withHint } from './hint/text.ts';
import { humanBytes } from './quantity.ts';

const SEVERITIES: readonly Severity[] = ['damage', 'warning', 'note'];

export interface ExaminationStyle {
  readonly stream: MaybeTerminal;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Whether mending was tried: then nothing is said of what it would do. */
  readonly fix: boolean;
}

/** Whether nothing is wrong; notes are about what is normal. */
export function isClean({ findings }: Examination): boolean {
  return findings.every(({ severity }) => severity === 'note');
}

/** The worst first; each finding in lines of its own that can be searched for. */
export function examinationText(examination: Examination, style: ExaminationStyle): Printable {
  const colours = coloursFor(style.stream, style.environment);
  const marks: Readonly<Record<Severity, (text: Printable) => Printable>> = {
    damage: colours.red,
    warning: colours.yellow,
    note: colours.dim,
  };
  const lines = examination.moved.map(({ from, to }) => printed`moved: ${printable(to)} (from ${printable(from)})`);
  lines.push(...examination.mended.flatMap((each) => mendedLines(each, colours.green, colours.yellow)));
  for (const severity of SEVERITIES) {
    for (const each of examination.findings.filter((one) => one.severity === severity)) {
      lines.push(
        printed`${marks[severity](printable(severity))}: ${colours.bold(printable(each.id))}: ${printable(each.message)}`,
        ...placeLines(each),
      );
      const fix = fixText(each);
      if (fix !== null && !style.fix) lines.push(printed`  --fix: ${printable(fix)}`);
      if (each.next !== undefined) lines.push(printed`  next: ${printable(hintText(each.next))}`);
    }
  }
  return joined([...lines, summary(examination)].map((line) => printed`${line}\n`));
}

function placeLines({ name, path }: Finding): Printable[] {
  return [...(name === undefined ? [] : [printed`  ${printable(name)}`]), printed`  ${printable(path)}`];
}

function mendedLines(
  { finding, result, text, next }: Mended,
  good: (text: Printable) => Printable,
  bad: (text: Printable) => Printable,
): Printable[] {
  const mark = result === 'mended' ? good(printed`mended`) : bad(printed`not mended`);
  return [printed`${mark}: ${printable(finding.id)}: ${printable(withHint(text, next))}`, ...placeLines(finding)];
}

function summary({ home, findings, mended, totals, deep }: Examination): Printable {
  const found = SEVERITIES.flatMap((severity) => {
    const count = findings.filter((each) => each.severity === severity).length;
    return count === 0 ? [] : `${severity} ${count}`;
  });
  const done = mended.filter((each) => each.result === 'mended').length;
  const what = [
    counted(totals.images, 'image', 'images') ?? 'no images',
    counted(totals.tags, 'tag', 'tags') ?? 'no tags',
    counted(totals.vms, 'VM', 'VMs') ?? 'no VMs',
    `${humanBytes(totals.imageBytesOnDisk, 1)} on disk`,
  ];
  const hashed = deep === undefined ? '' : `, ${humanBytes(deep.bytesChecked, 1)} hashed`;
  const mendedText = done === 0 ? '' : `, ${done} mended`;
  return printable(
    `${home}: ${what.join(', ')}${hashed}: ${found.length === 0 ? 'clean' : found.join(', ')}${mendedText}`,
  );
}

function counted(count: number, one: string, many: string): string | undefined {
  return count === 0 ? undefined : `${count} ${count === 1 ? one : many}`;
}

/** The same for programs. Bytes are whole numbers. */
export function examinationJson(examination: Examination): object {
  const { home, findings, mended, moved, totals, deep } = examination;
  return {
    schema: 'tartlet.doctor/v1',
    home,
    clean: isClean(examination),
    findings: findings.map(findingJson),
    mended: mended.map(({ finding, result, text, next }) => ({
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
  const { id, severity, path, name, message, stretch, next } = each;
  return {
    id,
    severity,
    path,
    name: name ?? null,
    message,
    chunk: stretch ?? null,
    fix: fixText(each),
    next: next === undefined ? null : hintText(next),
  };
}
