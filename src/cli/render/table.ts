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
  const whole = [columns, ...rows].map((row) => columns.map((_, column) => printable(row[column] ?? '')));
  const lines = fit(whole, screen);
  const widths = widthsOf(lines);
  const text = lines.map((line) => line.map((cell, column) => padToWidth(cell, widths[column] ?? 0)).join(' '));
  return `${text.join('\n').trim()}\n`;
}

function widthsOf(lines: readonly (readonly string[])[]): number[] {
  return (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => displayWidth(line[column] ?? ''))));
}

function fit(lines: string[][], { isTTY, columns = 0 }: MaybeNarrow): string[][] {
  const widths = widthsOf(lines);
  const tooWide = widths.reduce((sum, width) => sum + width + 1, -1) - columns;
  if (isTTY !== true || columns === 0 || tooWide <= 0) return lines;
  return lines.map((line) => line.map((cell, column) => shortenDigest(cell, (widths[column] ?? 0) - tooWide)));
}

/** The cell in `width` columns, if cutting its digest is enough for that. */
function shortenDigest(cell: string, width: number): string {
  const [, before, digits] = DIGEST.exec(cell) ?? [];
  if (before === undefined || digits === undefined || displayWidth(cell) <= width) return cell;
  return `${before}${digits.slice(0, Math.max(FEWEST_DIGITS, width - displayWidth(before) - 1))}…`;
}
