import { printable } from './printable.ts';
import { displayWidth, padToWidth } from './width.ts';

/** A digest at the end of a name: what people read it by, and what they do not. */
const DIGEST = /^(.*@sha256:)([0-9a-f]{64})$/;
/** Hex digits that a digest keeps, however narrow the terminal is. */
const FEWEST_DIGITS = 6;

/** The part of a stream that decides how wide a table may be. */
export interface MaybeNarrow {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/**
 * A table as Tart prints it (tart-cli §1.6): the header words, cells left-aligned and as wide as the widest of their column, one space
 * between columns. Padding stays at the end of every line but the last, where Tart trims the whole block. Without rows it is one empty line.
 * Programs cut these columns apart, so none of this is a matter of taste.
 *
 * @param screen where it will be written: on a terminal that is too narrow, digests lose as much of their end as it takes. Everywhere else
 *   they are whole.
 */
export function renderTable(
  columns: readonly string[],
  rows: readonly (readonly string[])[],
  screen: MaybeNarrow = {},
): string {
  if (rows.length === 0) return '\n';
  const whole: Lines = [columns, ...rows];
  // Asked once of all cells: a table of a large cache has a hundred thousand, and nearly always all are plain.
  const isPlain = PLAIN.test(whole.join());
  const printed = isPlain ? whole : whole.map((line) => line.map(printable));
  const lines = fit(printed, isPlain, screen);
  const staysPlain = isPlain && lines === printed;
  const widths = widthsOf(lines, staysPlain);
  const pad = staysPlain ? padPlain : padToWidth;
  // Loops that count, here and below: before they are compiled, which is most of a short command, iterators cost an object a step.
  let text = '';
  for (let row = 0; row < lines.length; row += 1) text += `${padded(lines[row] ?? [], widths, pad)}\n`;
  return `${text.trim()}\n`;
}

function padded(
  line: readonly string[],
  widths: readonly number[],
  pad: (text: string, width: number) => string,
): string {
  let text = '';
  for (let column = 0; column < line.length; column += 1) {
    text += `${column === 0 ? '' : ' '}${pad(line[column] ?? '', widths[column] ?? 0)}`;
  }
  return text;
}

function padPlain(text: string, width: number): string {
  return text.padEnd(width);
}

type Lines = readonly (readonly string[])[];

/** Each character is one column wide, and shows itself. */
const PLAIN = /^[\x20-\x7e]*$/;

function widthsOf(lines: Lines, isPlain: boolean): number[] {
  const widths = (lines[0] ?? []).map(() => 0);
  for (let row = 0; row < lines.length; row += 1) {
    const line = lines[row] ?? [];
    for (let column = 0; column < widths.length; column += 1) {
      const cell = line[column] ?? '';
      widths[column] = Math.max(widths[column] ?? 0, isPlain ? cell.length : displayWidth(cell));
    }
  }
  return widths;
}

function fit(lines: Lines, isPlain: boolean, { isTTY, columns = 0 }: MaybeNarrow): Lines {
  if (isTTY !== true || columns === 0) return lines;
  const widths = widthsOf(lines, isPlain);
  const tooWide = widths.reduce((sum, width) => sum + width + 1, -1) - columns;
  if (tooWide <= 0) return lines;
  return lines.map((line) => line.map((cell, column) => shortenDigest(cell, (widths[column] ?? 0) - tooWide)));
}

/** The cell in `width` columns, if cutting its digest is enough for that. */
function shortenDigest(cell: string, width: number): string {
  const [, before, digits] = DIGEST.exec(cell) ?? [];
  if (before === undefined || digits === undefined || displayWidth(cell) <= width) return cell;
  return `${before}${digits.slice(0, Math.max(FEWEST_DIGITS, width - displayWidth(before) - 1))}…`;
}
