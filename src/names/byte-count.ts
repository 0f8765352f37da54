const UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];

/**
 * Bytes for people, in units of 1000 as Tart and every disk label count: `50 GB`. Rounded to the nearest, so that it
 * can differ by one from the truncated numbers in Tart's JSON: what has 1.9 GB should not look like one.
 *
 * @param decimals none for tables, one where a number is watched while it grows.
 */
export function humanBytes(bytes: number, decimals: 0 | 1 = 0): string {
  let value = bytes;
  let unit = 0;
  // 999.96 MB would print as 1000.0 MB.
  while (unit < UNITS.length - 1 && roundsTo1000(value, unit === 0 ? 0 : decimals)) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(unit === 0 ? 0 : decimals)} ${UNITS[unit]}`;
}

function roundsTo1000(value: number, decimals: 0 | 1): boolean {
  return Math.round(value * 10 ** decimals) >= 1000 * 10 ** decimals;
}

/** A number of bytes as people write it: `200K`, `2.5MB`, `20 MiB`, `1048576`. */
const WRITTEN = /^(\d{1,15}(?:\.\d{1,9})?) ?(?:([kKmMgGtT])(iB|i|B)?|B)?$/;
const POWERS = ['', 'k', 'm', 'g', 't'];

/**
 * A number of bytes as it is typed. A letter alone counts by 1024, as for curl and wget (`20M`), and so does `MiB`;
 * `MB` counts by 1000, as {@link humanBytes} does. A small `b` is refused: it stands for bits.
 *
 * @returns undefined for what is no such number, or too large to be counted.
 */
export function parseBytes(text: string): number | undefined {
  const [, digits, letter = '', suffix] = WRITTEN.exec(text) ?? [];
  if (digits === undefined) return undefined;
  const bytes = Math.round(Number(digits) * (suffix === 'B' ? 1000 : 1024) ** POWERS.indexOf(letter.toLowerCase()));
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/**
 * A number of bytes per second, as {@link parseBytes} reads it, with `/s` or without.
 *
 * @returns undefined for what is no such number. 0 means no limit, as for curl and wget.
 */
export function parseByteRate(text: string): number | undefined {
  const rate = parseBytes(text.replace(/\/s$/, ''));
  // A rate below one byte is no wish for none.
  return rate === 0 && /[1-9]/.test(text) ? undefined : rate;
}
