import { spelledOut, spelledOutByLine } from '../../names/unprintable.ts';

declare const MADE_PRINTABLE: unique symbol;

/**
 * Text that may be written where people read it: nothing in it that came from elsewhere can move the cursor, recolour,
 * reorder, or begin a line (reliability S35). The streams of a terminal take nothing else, and a `string` is none: it
 * has to come through one of these functions.
 */
export type Printable = string & { readonly [MADE_PRINTABLE]: true };

/**
 * A text that came from somewhere else, on one line. Line breaks and tabs become a space, other characters that cannot
 * be shown become visible; spaces stay, since names have them.
 */
export function printable(text: string): Printable {
  // Nearly every text is plain, and a table asks for each of its cells.
  if (/^[\x20-\x7e]*$/.test(text)) return ownText(text);
  return ownText(spelledOut(text.replaceAll(/[\t-\r]+/g, ' ')));
}

/** A whole line to write: whatever is in the text, it is one. */
export function printableLine(text: string): Printable {
  return ownText(`${printable(text)}\n`);
}

/** Several of them. */
export function printableLines(texts: readonly string[]): Printable {
  return joined(texts.map(printableLine));
}

/**
 * A text whose line breaks are ours, such as JSON or help: all else in it becomes visible. In JSON it means what it
 * meant before.
 */
export function printableByLine(text: string): Printable {
  return ownText(spelledOutByLine(text));
}

/**
 * A text of ours with places for what is printable already: ``printed`kept: ${printable(kept)}` ``. Anything else does
 * not compile.
 */
export function printed(texts: TemplateStringsArray, ...parts: readonly (Printable | number)[]): Printable {
  return ownText(texts.reduce((whole, text, at) => `${whole}${parts[at - 1] ?? ''}${text}`));
}

export function joined(parts: readonly Printable[], between = ''): Printable {
  return ownText(parts.join(between));
}

/**
 * Takes a text for printable as it is: made of words of ours, of colours and movements of the cursor, and of what is
 * printable already. Each use has to be able to say why; a test lists them all.
 */
export function ownText(text: string): Printable {
  return text as Printable;
}
