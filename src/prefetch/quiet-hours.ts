/*
 * Hours of the day in which nothing is to be fetched, by the clock on the wall. The day on which clocks are changed has
 * 23 or 25 hours, and shows some minutes never or twice, so that each minute is asked of the calendar, and none is
 * reckoned.
 */

/**
 * A window of each day, in minutes since midnight of the local time; one that ends before it begins crosses midnight.
 */
export interface QuietHours {
  readonly from: number;
  readonly to: number;
}

const DAY_MINUTES = 24 * 60;
const MINUTE_MS = 60_000;
/** The day on which the clock is put back has so many. */
const LONGEST_DAY_MINUTES = 25 * 60;

/**
 * @param text like `08:00-18:00`, or `22:00-06:30` across midnight.
 * @returns undefined for what is no such window; one that has no end is none.
 */
export function parseQuietHours(text: string): QuietHours | undefined {
  const [, ...digits] = /^(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})$/.exec(text.trim()) ?? [];
  const [fromHour, fromMinute, toHour, toMinute] = digits.map(Number);
  const from = minutesOf(fromHour, fromMinute);
  const to = minutesOf(toHour, toMinute);
  if (from === undefined || to === undefined || from === DAY_MINUTES) return undefined;
  return from === to % DAY_MINUTES ? undefined : { from, to: to % DAY_MINUTES };
}

function minutesOf(hour: number | undefined, minute: number | undefined): number | undefined {
  if (hour === undefined || minute === undefined || minute > 59) return undefined;
  const minutes = hour * 60 + minute;
  return minutes <= DAY_MINUTES ? minutes : undefined;
}

/**
 * When something may be fetched: now, or at the first minute that the clock on the wall shows outside of all windows.
 *
 * @returns undefined for never: the windows leave no minute of the day.
 */
export function allowedFrom(now: Date, windows: readonly QuietHours[]): Date | undefined {
  return isQuiet(now, windows) ? firstMinute(now, (at) => !isQuiet(at, windows)) : now;
}

/** When fetching, which is allowed now, has to stop: at the first quiet minute. Undefined where there is none. */
export function quietFrom(now: Date, windows: readonly QuietHours[]): Date | undefined {
  return firstMinute(now, (at) => isQuiet(at, windows));
}

function isQuiet(at: Date, windows: readonly QuietHours[]): boolean {
  const minute = at.getHours() * 60 + at.getMinutes();
  return windows.some(({ from, to }) => (from < to ? minute >= from && minute < to : minute >= from || minute < to));
}

/** The first whole minute after now that is so, within a day. */
function firstMinute(now: Date, isSo: (at: Date) => boolean): Date | undefined {
  const next = Math.floor(now.getTime() / MINUTE_MS) + 1;
  for (let minute = next; minute <= next + LONGEST_DAY_MINUTES; minute += 1) {
    const at = new Date(minute * MINUTE_MS);
    if (isSo(at)) return at;
  }
  return undefined;
}
