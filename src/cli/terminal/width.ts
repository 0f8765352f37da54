/** Marks that combine with what stands before them, and characters without any shape. */
const NO_WIDTH = /^[\p{Mn}\p{Me}\p{Cf}]$/u;
/** Scripts that terminals draw two columns wide, full-width forms, and emoji. */
const DOUBLE_WIDTH = new RegExp(
  [
    String.raw`^[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}`,
    String.raw`\u3000-\u303e\uff01-\uff60\uffe0-\uffe6\p{Emoji_Presentation}]$`,
  ].join(''),
  'u',
);
// oxlint-disable-next-line no-control-regex -- ASCII ends at 0x7f
const ASCII = /^[\u0000-\u007f]*$/;

/**
 * Columns that a text takes on a terminal. Simple on purpose: names of images are ASCII, and for the rest each code
 * point is looked at alone, so that an emoji made of several counts too much.
 */
export function displayWidth(text: string): number {
  if (ASCII.test(text)) return text.length;
  return Array.from(text).reduce((sum, character) => sum + characterWidth(character), 0);
}

/*
 * What is made of a printable text below is printable: it loses characters, and gets spaces and an ellipsis.
 */

/** The text with spaces behind it, `width` columns in all. */
export function padToWidth<Text extends string>(text: Text, width: number): Text {
  return (text + ' '.repeat(Math.max(0, width - displayWidth(text)))) as Text;
}

/** The beginning of a text, with an ellipsis when it does not fit into `width` columns. */
export function cutEnd<Text extends string>(text: Text, width: number): Text {
  if (displayWidth(text) <= width) return text;
  return (width < 1 ? '' : `${fitting(Array.from(text), width - 1).join('')}…`) as Text;
}

/** The end of a text, which in names tells most, with an ellipsis when it does not fit into `width` columns. */
export function cutStart<Text extends string>(text: Text, width: number): Text {
  if (displayWidth(text) <= width) return text;
  if (width < 1) return '' as Text;
  const end = fitting(Array.from(text).reverse(), width - 1).reverse();
  return `…${end.join('')}` as Text;
}

/** As many of the first characters as fit. */
function fitting(characters: string[], width: number): string[] {
  let left = width;
  const end = characters.findIndex((character) => {
    left -= characterWidth(character);
    return left < 0;
  });
  return end < 0 ? characters : characters.slice(0, end);
}

function characterWidth(character: string): number {
  if (NO_WIDTH.test(character)) return 0;
  return DOUBLE_WIDTH.test(character) ? 2 : 1;
}
