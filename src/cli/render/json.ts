import { type Printable, printableByLine } from '../terminal/printable.ts';

/**
 * A result for programs: indented by two spaces, as Tart does, with a newline at the end. It may be shown on a
 * terminal, and what is not to be shown there as it is stands in it as `\uXXXX`, which JSON makes out of some of those
 * characters only.
 */
export function renderJson(value: object): Printable {
  return printableByLine(`${JSON.stringify(value, null, 2)}\n`);
}
