import { InvalidArgumentError, Option } from 'commander';
import { parseByteRate, parseBytes } from '../../names/byte-count.ts';

/** A whole number within bounds; anything else is a usage error (tart-cli §0.1). */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^[0-9]{1,20}$/.test(text) ? Number(text) : Number.NaN;
    if (!Number.isSafeInteger(value) || value < min || value > max) {
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
    }
    return value;
  };
}

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const MAX_DURATION_MS = 366 * 86_400_000;

/** A time like 90s, 15m, 3h or 1d, in milliseconds; anything else is a usage error. */
export function duration(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const milliseconds = Number(digits) * (UNITS[unit] ?? Number.NaN);
  if (!(milliseconds > 0 && milliseconds <= MAX_DURATION_MS))
    throw new InvalidArgumentError('It must be a time like 90s, 15m, 3h or 1d.');
  return milliseconds;
}

/** A size like 200GB or 150GiB, in bytes; anything else is a usage error. */
export function byteCount(text: string): number {
  const count = parseBytes(text);
  if (count === undefined || count === 0) throw new InvalidArgumentError('It must be a size like 200GB or 150GiB.');
  return count;
}

/** An option that takes one of a few words in any letter case. */
export function wordOption(flags: string, description: string, words: readonly string[]): Option {
  return new Option(flags, description).choices(words).argParser((text: string) => {
    const found = words.find((word) => word === text.toLowerCase());
    if (found === undefined) throw new InvalidArgumentError(`Allowed choices are ${words.join(', ')}.`);
    return found;
  });
}

/** Gathers an option that may be given several times. */
export function repeated(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text];
}

/** For commands whose result programs may want to read. @param what is printed. */
export function formatOption(what = 'Output format'): Option {
  return new Option('--format <format>', what).choices(['text', 'json'] as const).default('text');
}

/** What {@link formatOption} does for a command that prints no result otherwise. */
export const JSON_RESULT = 'json prints the result on stdout, digests whole, sizes in bytes';

/** For commands with progress and notes on stderr. */
export function quietOption(): Option {
  return new Option('-q, --quiet', 'No progress and no notes on stderr, only errors');
}

/** For commands that talk to registries. */
export function debugOption(): Option {
  return new Option('--debug', 'Show requests, answers and retries on stderr, without passwords and tokens');
}

/** For commands that move images. */
export function limitRateOption(): Option {
  return new Option('--limit-rate <rate>', 'Most bytes per second in each direction, like 20M or 2.5MB/s').argParser(
    (text: string) => {
      const rate = parseByteRate(text);
      if (rate === undefined) throw new InvalidArgumentError('It must be bytes per second, like 500K, 20M or 2.5MB/s.');
      return rate;
    },
  );
}

/** For commands that read images from registries. */
export function noMirrorOption(): Option {
  return new Option('--no-mirror', 'Ask only the registry in the name, whatever mirrors are set up');
}

export const UINT16_MAX = 65_535;
