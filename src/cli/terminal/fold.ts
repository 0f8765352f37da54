import { ownText, type Printable } from './printable.ts';
import { displayWidth } from './width.ts';

/** The part of a stream that decides how wide a text may be. */
export interface MaybeNarrow {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

// oxlint-disable-next-line no-control-regex -- that is how colours begin
const COLOUR = /\u001b\[[0-9;]*m/g;

/**
 * Breaks the lines of a text at their spaces so that a terminal does not break them anywhere; what follows is indented.
 * A path or digest that is wider than the terminal stays whole on a line of its own, to be copied. Everywhere else the
 * text is what it was.
 */
export function foldText(text: Printable, { isTTY, columns = 0 }: MaybeNarrow): Printable {
  if (isTTY !== true || columns === 0) return text;
  return ownText(
    text
      .split('\n')
      .flatMap((line) => foldLine(line, columns))
      .join('\n'),
  );
}

function foldLine(line: string, width: number): string[] {
  if (widthOf(line) <= width) return [line];
  const start = /^ */.exec(line)?.[0] ?? '';
  const lines: string[] = [];
  let current = start;
  let isEmpty = true;
  for (const word of line.slice(start.length).split(' ')) {
    if (!isEmpty && widthOf(current) + 1 + widthOf(word) > width) {
      lines.push(current.trimEnd());
      current = `${start}  `;
      isEmpty = true;
    }
    current += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  return [...lines, current];
}

function widthOf(text: string): number {
  return displayWidth(text.replaceAll(COLOUR, ''));
}
