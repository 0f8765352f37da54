import picocolors from 'picocolors';
import type { Printable } from '../terminal/printable.ts';

/**
 * Colours as far as we use them. They go around what is printable, or the characters that they are made of would be
 * spelled out.
 */
export type Colours = Readonly<Record<'bold' | 'dim' | 'green' | 'red' | 'yellow', (text: Printable) => Printable>>;

/** The part of a stream that decides about colours. */
export interface MaybeTerminal {
  readonly isTTY?: boolean | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Colours for one stream: on a terminal, unless `NO_COLOR` is set to anything (no-color.org), or everywhere with
 * `FORCE_COLOR`, where `0` and `false` mean the opposite. With both set there is none. Asked of each stream alone:
 * picocolors itself looks only at stdout, and colours pipes in CI (dependencies §10).
 */
export function coloursFor(stream: MaybeTerminal, environment: Environment): Colours {
  return picocolors.createColors(wantsColours(stream, environment)) as unknown as Colours;
}

function wantsColours(stream: MaybeTerminal, environment: Environment): boolean {
  const force = environment['FORCE_COLOR'] ?? '';
  if ((environment['NO_COLOR'] ?? '') !== '' || force === '0' || force === 'false') return false;
  return force !== '' || canMoveCursor(stream, environment);
}

/** Whether a stream is a terminal that understands escape sequences. */
export function canMoveCursor(stream: MaybeTerminal, environment: Environment): boolean {
  return stream.isTTY === true && environment['TERM'] !== 'dumb';
}
