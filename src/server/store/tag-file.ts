import { Tag } from '../../names/tag.ts';

const FILE_NAME = /^([a-z0-9_][a-z0-9._-]{0,127})(?:%([0-9a-f]{1,32}))?$/;
/** ASCII. */
const SMALL_A = 0x61;
const SMALL_Z = 0x7a;
const TO_CAPITAL = 0x20;

/**
 * The name of the file that holds a tag: the tag in lower case, and after a `%` the set of positions that were upper
 * case as a hex number, the first position in its lowest bit. So `V1` and `v1` are two files even where the file system
 * ignores case, and 128 capitals still fit into 255 bytes, which an escape per letter would not.
 */
export function tagFileName(tag: Tag): string {
  const lower = tag.text.toLowerCase();
  return lower === tag.text ? lower : `${lower}%${capitalsOf(tag.text, lower)}`;
}

/** The inverse of {@link tagFileName}; undefined for a file that this server did not write. */
export function tagOfFileName(fileName: string): Tag | undefined {
  const [, lower, capitals] = FILE_NAME.exec(fileName) ?? [];
  if (lower === undefined) return undefined;
  // Most tags, and there may be thousands: nothing was changed.
  if (capitals === undefined) return Tag.tryParseBySpec(lower);
  // A leading zero, a bit behind the end or at what is no letter would make a second name for the same tag.
  if (capitals.startsWith('0') || capitals.length > Math.ceil(lower.length / 4)) return undefined;
  const letters = Buffer.from(lower, 'latin1');
  for (let place = 0; place < capitals.length; place += 1) {
    const digit = Number.parseInt(capitals.charAt(capitals.length - 1 - place), 16);
    for (let bit = 0; bit < 4; bit += 1) {
      if (((digit >> bit) & 1) === 0) continue;
      const letter = letters[4 * place + bit] ?? 0;
      if (letter < SMALL_A || letter > SMALL_Z) return undefined;
      letters[4 * place + bit] = letter - TO_CAPITAL;
    }
  }
  return Tag.tryParseBySpec(letters.toString('latin1'));
}

/** A hex digit for each four positions: one number for all of them would take time with the square of their count. */
function capitalsOf(text: string, lower: string): string {
  let digits = '';
  for (let start = 0; start < text.length; start += 4) {
    let digit = 0;
    for (let at = start; at < Math.min(start + 4, text.length); at += 1) {
      if (text.charCodeAt(at) !== lower.charCodeAt(at)) digit |= 1 << (at - start);
    }
    digits = digit.toString(16) + digits;
  }
  return digits.replace(/^0+/, '');
}
