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
