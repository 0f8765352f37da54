import { TartletError } from '../errors.ts';

/** The one shape of a complaint about a name: what was typed, why it is refused, and where (1-based, in characters). */
export function malformed(
  text: string,
  at: number,
  why: string,
  next = 'write it as host, host:port or [IPv6]:port',
): TartletError {
  const shown = text.length > 120 ? `${text.slice(0, 117)}…` : text;
  return new TartletError('NAME_MALFORMED', `"${shown}" is not a valid name: ${why} (at character ${at + 1})`, {
    subject: shown,
    position: at + 1,
    next,
  });
}

/** The whole character at `index`, so that an emoji in a message is not cut in half. */
export function characterAt(text: string, index: number): string {
  const point = text.codePointAt(index);
  return point === undefined ? '' : String.fromCodePoint(point);
}
