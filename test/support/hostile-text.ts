import { expect } from 'vitest';
import type { Ran } from './real-command.ts';
import type { JsonObject } from './tart-image.ts';

/*
 * Text that wants to be more than text, and places to put it (reliability S35). Written without the product's own table
 * of such characters.
 */

/** One order to a terminal, or trick on the reader, each. */
export const TRICKS: readonly string[] = [
  '\u001b]0;owned\u0007', // a title
  '\u001b]52;c;b3duZWQ=\u0007', // the clipboard
  '\u001b[2J\u001b[1;1H', // an empty screen
  '\u001b[31m',
  '\u009b31m',
  '\u009d0;owned\u009c',
  '\u0008\u0008\u0008',
  '\u007f',
  '\u0000',
  '\rforged: a line over another',
  '\nforged: a line of its own',
  '\u0085forged: after a C1 line break',
  '\u2028forged: after a line separator',
  '\u2029',
  '\u202egnp.exe',
  '\u2066\u2067\u2068\u2069',
  '\u200e\u200f\u061c',
  '\u200b\u2060\ufeff\u00ad',
  '\u{e0041}\u{e007f}',
  '\u3164\uffa0\u115f\u034f\u{1d173}',
];

/** All of them. */
export const HOSTILE = `owned${TRICKS.join('')}end`;

/** Unicode's own word for what is no character to be seen: controls, formats, separators of lines, halves. */
const NOT_TO_BE_SEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/u;
/** What we write to terminals ourselves: colours, and the movements of the display of transfers. */
// oxlint-disable-next-line no-control-regex -- that is how they begin
const OUR_OWN = /\u001b\[(?:0|1|2|22|31|32|33|39)m|\u001b\[\d+A\r|\u001b\[[JK]/g;

/** That what a command said moves nothing, hides nothing, and has no line that somebody else wrote. */
export function expectHarmless({ stdout, stderr }: Ran, what: string): void {
  for (const text of [stdout, stderr]) {
    const left = text.replaceAll(OUR_OWN, '').replaceAll('\n', '');
    expect(NOT_TO_BE_SEEN.exec(left)?.[0], `${what}: ${JSON.stringify(text)}`).toBeUndefined();
    expect(text, what).not.toMatch(/^forged/m);
  }
}

/** The paths of everything in a document that can be a text: its strings, and its keys as `KEY of` what they are in. */
export function placesIn(value: unknown, at: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return typeof value === 'string' ? [at] : [];
  const inside = Object.entries(value).flatMap(([key, each]) => placesIn(each, [...at, key]));
  return Array.isArray(value) ? inside : [...inside, [...at, NEW_KEY]];
}

const NEW_KEY = 'KEY';

/** The document with `text` behind what stands at a place, or instead of it, or as a new key. */
export function spoiled(document: JsonObject, place: readonly string[], text: string, how: 'behind' | 'instead') {
  const copy = structuredClone(document);
  let inside: Record<string, unknown> = copy;
  for (const key of place.slice(0, -1)) inside = inside[key] as Record<string, unknown>;
  const last = place.at(-1) ?? '';
  if (last === NEW_KEY) inside[text] = text;
  else inside[last] = how === 'behind' ? `${String(inside[last])}${text}` : text;
  return copy;
}
