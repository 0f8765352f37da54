import { fitName } from './fit-name.ts';
import type { MaybeNarrow } from '../terminal/fold.ts';
import { ownText, type Printable, printable } from '../terminal/printable.ts';
import { cutEnd, displayWidth, padToWidth } from '../terminal/width.ts';

/** With fewer columns for names, each gets a line of its own. */
const SHORTEST_NAME = 24;
const INDENT = '  ';

/**
 * A table as Tart prints it (tart-cli §1.6): the header words, cells left-aligned and as wide as the widest of their
 * column, one space between columns. Padding stays at the end of every line but the last, where Tart trims the whole
 * block. Without rows it is one empty line. Programs cut these columns apart, so none of this is a matter of taste.
 *
 * @param screen where it will be written: on a terminal that is too narrow, names are shortened, or get a line of their
 * own, so that no line is wider. Everywhere else the table is whole.
 * @param names the heading of the column that names stand in.
 */
export function renderTable(
  columns: readonly string[],
  rows: readonly (readonly string[])[],
  screen: MaybeNarrow = {},
  names?: string,
): Printable {
  if (rows.length === 0) return ownText('\n');
  const whole: Lines = [columns, ...rows];
  // Asked once of all cells: a table of a large cache has a hundred thousand, and nearly always all are plain.
  const isPlain = PLAIN.test(whole.join());
  const printed = isPlain ? whole : whole.map((line) => line.map(printable));
  const { isTTY, columns: width = 0 } = screen;
  if (isTTY !== true || width === 0) return ownText(block(printed, isPlain));
  const widths = widthsOf(printed, isPlain);
  if (totalOf(widths) <= width) return ownText(block(printed, isPlain));
  return ownText(narrow(printed, widths, width, names === undefined ? -1 : columns.indexOf(names)));
}

/** @param isPlain whether each character of the cells is one column wide. */
function block(lines: Lines, isPlain: boolean): string {
  const widths = widthsOf(lines, isPlain);
  const pad = isPlain ? padPlain : padToWidth;
  // Loops that count, here and below: before they are compiled, which is most of a short command, iterators cost an
  // object a step.
  let text = '';
  for (let row = 0; row < lines.length; row += 1) text += `${padded(lines[row] ?? [], widths, pad)}\n`;
  return `${text.trim()}\n`;
}

/** Columns of a line, the spaces between its cells included. */
function totalOf(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width + 1, -1);
}

/** The same table where it is too wide. @param at the column of names; none when negative. */
function narrow(lines: Lines, widths: readonly number[], width: number, at: number): string {
  const others = widths.filter((_, column) => column !== at);
  const room = width - totalOf(others) - 1;
  if (at >= 0 && room >= SHORTEST_NAME) {
    return block(
      lines.map((line) => line.map((cell, column) => (column === at ? fitName(cell, room) : cell))),
      false,
    );
  }
  if (at < 0 || totalOf(others) + INDENT.length > width) return records(lines, width, at);
  const rests = block(
    lines.map((line) => line.filter((_, column) => column !== at)),
    false,
  ).split('\n');
  return lines.map((line, row) => `${fitName(line[at] ?? '', width)}\n${INDENT}${rests[row]}\n`).join('');
}

/** A line for each cell, behind its heading. */
function records([headings = [], ...rows]: Lines, width: number, at: number): string {
  const left = Math.max(...headings.map(displayWidth)) + 1;
  const room = Math.max(1, width - left);
  const cell = (text: string, column: number): string => (column === at ? fitName : cutEnd)(text, room);
  const record = (line: readonly string[]): string =>
    line.map((text, column) => `${padToWidth(headings[column] ?? '', left)}${cell(text, column)}\n`).join('');
  return rows.map(record).join('\n');
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
