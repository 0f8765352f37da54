/*
 * The one table of characters that a text from elsewhere may not show as they are (reliability S35). Code that refuses,
 * hides or spells such characters asks here: two tables drift apart, and what one of them lets through decides.
 */

/** The characters themselves, as the inside of a class of a regular expression with the flag `u`. */
const CHARACTERS = [
  String.raw`\u0000-\u001f\u007f-\u009f`, // orders to a terminal: C0, DEL, C1
  String.raw`\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069`, // what reorders the text around it (Unicode bidi, UAX #9)
  String.raw`\u2028\u2029`, // line breaks that not every program takes for some
  // What has no shape, and makes two texts look alike (Default_Ignorable_Code_Point, and U+FFF9 to U+FFFB). U+200C,
  // U+200D and the selectors U+FE00 to U+FE0F and U+E0100 to U+E01EF have none either, but emoji and some scripts are
  // written with them.
  String.raw`\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f`,
  String.raw`\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb`,
  String.raw`\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e00ff}\u{e01f0}-\u{e0fff}`,
  String.raw`\ud800-\udfff`, // halves of characters, which are no text
].join('');

/** Whether a text has a character that must not be shown as it is. */
export const UNPRINTABLE = new RegExp(`[${CHARACTERS}]`, 'u');
/** Each of them, to replace them all. */
export const EACH_UNPRINTABLE = new RegExp(`[${CHARACTERS}]`, 'gu');
/** The same but for line breaks, for texts of several lines that we made. */
const EACH_BUT_LINE_BREAKS = new RegExp(`(?!\n)[${CHARACTERS}]`, 'gu');

/**
 * The same text, each such character as `\uXXXX`; beyond the basic plane as two, which is how JSON spells them, too.
 */
export function spelledOut(text: string): string {
  return text.replaceAll(EACH_UNPRINTABLE, spelling);
}

/** The same, line for line. JSON that is spelled out this way means what it meant before. */
export function spelledOutByLine(text: string): string {
  return text.replaceAll(EACH_BUT_LINE_BREAKS, spelling);
}

function spelling(character: string): string {
  return Array.from({ length: character.length }, (_, at) => {
    return `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`;
  }).join('');
}
