import { Tag } from '../contract/tag.ts';

const FILE_NAME = /^([a-z0-9_][a-z0-9._-]{0,127})(?:%([0-9a-f]{1,32}))?$/;
const HEX = '0123456789abcdef';

/**
 * The name of the file that holds a tag: the tag in lower case, and after a `%` the set of positions that were upper case as a hex
 * number, the first position in its lowest bit. So `V1` and `v1` are two files even where the file system ignores case, and 128 capitals
 * still fit into 255 bytes, which an escape per letter would not.
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
  if (capitals === undefined) return Tag.tryParse(lower);
  let text = '';
  for (let at = 0; at < lower.length; at += 1) {
    const digit = HEX.indexOf(capitals.charAt(capitals.length - 1 - Math.floor(at / 4)));
    // Beyond the digits there is none, and no bit may count.
    const isCapital = digit >= 0 && ((digit >> (at % 4)) & 1) === 1;
    text += isCapital ? lower.charAt(at).toUpperCase() : lower.charAt(at);
  }
  const tag = Tag.tryParse(text);
  // Leading zeros, and bits at digits or behind the end, would be a second name for the same tag.
  return tag !== undefined && tagFileName(tag) === fileName ? tag : undefined;
}

/** A hex digit for each four positions: a number for all of them would take time with the square of their count. */
function capitalsOf(text: string, lower: string): string {
  const digits: string[] = [];
  for (let start = 0; start < text.length; start += 4) {
    let digit = 0;
    for (let bit = 0; bit < 4; bit += 1) {
      if (text.charAt(start + bit) !== lower.charAt(start + bit)) digit |= 1 << bit;
    }
    digits.push(HEX.charAt(digit));
  }
  return digits.reverse().join('').replace(/^0+/, '');
}
