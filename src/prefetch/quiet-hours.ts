/*
 * Hours of the day in which nothing is to be fetched, by the clock on the wall. The day on which clocks are changed has
 * 23 or 25 hours, so that the ends of a window are asked of the calendar, and not reckoned.
 */

/**
 * A window of each day, in minutes since midnight of the local time; one that ends before it begins crosses midnight.
 */
export interface QuietHours {
  readonly from: number;
  readonly to: number;
}

const DAY_MINUTES = 24 * 60;

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
 * When something may be fetched: now, or when the window ends in which it is, and all that follow without a pause.
 *
 * @returns undefined for never: the windows leave no minute of the day.
 */
export function allowedFrom(now: Date, windows: readonly QuietHours[]): Date | undefined {
  let at = now;
  for (let turn = 0; turn <= windows.length; turn += 1) {
    const window = windows.find((each) => isWithin(minuteOf(at), each));
    if (window === undefined) return at;
    at = nextMinute(at, window.to);
  }
  return undefined;
}

/** When fetching has to stop: at the beginning of the next window. Undefined where there is none. */
export function quietFrom(now: Date, windows: readonly QuietHours[]): Date | undefined {
  const starts = windows.map(({ from }) => nextMinute(now, from)).sort((a, b) => a.getTime() - b.getTime());
  return starts[0];
}

function isWithin(minute: number, { from, to }: QuietHours): boolean {
  return from < to ? minute >= from && minute < to : minute >= from || minute < to;
}

function minuteOf(at: Date): number {
  return at.getHours() * 60 + at.getMinutes();
}

/** The next time that the clock on the wall shows this minute, after now. */
function nextMinute(now: Date, minute: number): Date {
  for (const days of [0, 1]) {
    const at = new Date(now.getFullYear(), now.getMonth(), now.getDate() + days, 0, minute);
    if (at.getTime() > now.getTime()) return at;
  }
  return new Date(now.getFullYear(), now.getMonth(), now.getDate() + 2, 0, minute);
}
