import { TartletError } from '../errors.ts';
import { spelledOut } from './unprintable.ts';

/**
 * The one shape of a complaint about a name: what was typed, why it is refused, and where (1-based, in characters; one
 * more than there are when something is missing at the end).
 *
 * @param at the index of the first code unit that cannot be right.
 */
export function malformed(
  text: string,
  at: number,
  why: string,
  next = 'write it as host, host:port or [IPv6]:port',
): TartletError {
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

/** What a message may show of a text that is no name: no password, nothing that moves the cursor, and not all of a novel. */
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

/** `user:secret@host/…` is a common slip, and messages end up in logs (reliability S34). */
function withoutPassword(text: string): string {
  const scheme = /^[A-Za-z][A-Za-z0-9+.-]{0,20}:\/\//.exec(text)?.[0] ?? '';
  const slash = text.indexOf('/', scheme.length);
  const at = text.slice(0, slash < 0 ? text.length : slash).lastIndexOf('@');
  const userInfo = text.slice(scheme.length, Math.max(at, scheme.length));
  const digestFollows = text.startsWith('sha256:', at + 1);
  return userInfo.includes(':') && !digestFollows ? `${scheme}…${text.slice(at)}` : text;
}
