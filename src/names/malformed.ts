import { TartletError } from '../errors.ts';
import type { Hint } from '../hint.ts';
import { spelledOut } from './unprintable.ts';

/** The longest part of a path that file systems take, in bytes; names are ASCII, so in characters too. */
export const MAX_PATH_PART = 255;

/** The next step for a name of an image that is none. */
export const IMAGE_SPELLING: Hint = { kind: 'write-name' };

/** What is wrong with a text: the index of the first code unit that cannot be right, and why. */
export interface NameFault {
  readonly at: number;
  readonly why: string;
}

/**
 * The one shape of a complaint about a name: what was typed, why it is refused, and where (1-based, in characters; one
 * more than there are when something is missing at the end).
 *
 * @param at the index of the first code unit that cannot be right.
 */
export function malformed(text: string, at: number, why: string, next: Hint = { kind: 'write-address' }): TartletError {
  const shown = shownName(text);
  // A character beyond the basic plane has two code units.
  const position = Array.from(text.slice(0, at)).length + 1;
  const where = at < text.length ? `at character ${position}` : 'at its end';
  return new TartletError('NAME_MALFORMED', `"${shown}" is not a valid name: ${why} (${where})`, {
    subject: shown,
    position,
    next,
  });
}

/**
 * What a message may show of a text that is no name: no password, nothing that moves the cursor, and not all of a
 * novel.
 */
export function shownName(text: string): string {
  const whole = withoutPassword(text);
  const short = whole.length > 120 ? `${whole.slice(0, 117)}…` : whole;
  return spelledOut(short);
}

/** The whole character at `index`, visible, so that an emoji in a message is not cut in half. */
export function characterAt(text: string, index: number): string {
  const point = text.codePointAt(index);
  return point === undefined ? '' : spelledOut(String.fromCodePoint(point));
}

/**
 * The text with everything before its host left out where that may hold a password: `user:secret@host/…` is a common
 * slip, also with a slash in the password, and what was typed ends up in messages, logs and traces (reliability S34).
 */
export function withoutPassword(text: string): string {
  const scheme = /[A-Za-z][A-Za-z0-9+.-]{0,20}:\/\//.exec(text);
  const start = scheme === null ? 0 : scheme.index + scheme[0].length;
  const rest = text.slice(start);
  const userInfo = /^(.*)@(?!sha(?:256|512):)/s.exec(rest)?.[1] ?? '';
  const beforeSlash = userInfo.split('/', 1)[0] ?? '';
  // In `host:5000/a@b` and `[::1]:5000/a@b` there is no user.
  const isAddress = beforeSlash.length < userInfo.length && /^(?:[^:[]*|\[[^\]]*\])(?::\d{1,5})?$/.test(beforeSlash);
  return beforeSlash.includes(':') && !isAddress ? `${text.slice(0, start)}…${rest.slice(userInfo.length)}` : text;
}
