import { UNPRINTABLE } from '../../names/malformed.ts';

const EACH_UNPRINTABLE = new RegExp(UNPRINTABLE.source, 'g');

/**
 * A text that came from somewhere else, on one line, unable to move the cursor or to reorder what stands around it
 * (reliability S35). Line breaks and tabs become a space, other control characters become visible; spaces stay, since names have them.
 */
export function printable(text: string): string {
  // Nearly every text is plain, and a table asks for each of its cells.
  if (/^[\x20-\x7e]*$/.test(text)) return text;
  return text
    .replaceAll(/[\t-\r]+/g, ' ')
    .replaceAll(EACH_UNPRINTABLE, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
