import { cutStart, displayWidth } from '../terminal/width.ts';

/** A digest at the end of a name: what people read it by, and what they do not. */
const DIGEST = /^(.*@sha256:)([0-9a-f]{64})$/;
/** Hex digits that a digest keeps, however narrow the terminal is. */
const FEWEST_DIGITS = 6;

/**
 * A name in `width` columns. The end of its repository and its tag say most, and stay: first a digest loses its end,
 * then the path its middle, then the name its beginning.
 */
export function fitName<Text extends string>(name: Text, width: number): Text {
  if (displayWidth(name) <= width) return name;
  const short = shortenDigest(name, width);
  const parts = short.split('/');
  for (let first = 1; first < parts.length; first += 1) {
    const shorter = first === 1 ? short : `${parts[0]}/…/${parts.slice(first).join('/')}`;
    if (displayWidth(shorter) <= width) return shorter as Text;
  }
  return cutStart(short, width);
}

function shortenDigest<Text extends string>(name: Text, width: number): Text {
  const [, before, digits] = DIGEST.exec(name) ?? [];
  if (before === undefined || digits === undefined) return name;
  return `${before}${digits.slice(0, Math.max(FEWEST_DIGITS, width - displayWidth(before) - 1))}…` as Text;
}
