import { printable } from './printable.ts';
import { displayWidth, padToWidth } from './width.ts';

/**
 * A table as Tart prints it (tart-cli §1.6): the header words, cells left-aligned and as wide as the widest of their column, one space
 * between columns. Padding stays at the end of every line but the last, where Tart trims the whole block. Without rows it is one empty line.
 * Programs cut these columns apart, so none of this is a matter of taste.
 */
export function renderTable(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '\n';
  const lines = [columns, ...rows].map((row) => columns.map((_, column) => printable(row[column] ?? '')));
  const widths = columns.map((_, column) => Math.max(...lines.map((line) => displayWidth(line[column] ?? ''))));
  const text = lines.map((line) => line.map((cell, column) => padToWidth(cell, widths[column] ?? 0)).join(' '));
  return `${text.join('\n').trim()}\n`;
}
