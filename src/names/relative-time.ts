const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Largest first; a month and a year are what they are on average. */
const AGES: readonly (readonly [string, number])[] = [
  ['year', 365.25 * DAY],
  ['month', 30.4375 * DAY],
  ['week', 7 * DAY],
  ['day', DAY],
  ['hour', HOUR],
  ['minute', MINUTE],
  ['second', SECOND],
];

/**
 * How long ago something was, in whole units rounded down: `3 minutes ago`. Clocks disagree, so it can also be
 * `in 2 days`.
 */
export function relativeTime(then: Date, now: Date): string {
  const age = now.getTime() - then.getTime();
  const [unit, length] = ageUnit(Math.abs(age));
  if (length === 0) return 'just now';
  const count = Math.floor(Math.abs(age) / length);
  const words = `${count} ${unit}${count === 1 ? '' : 's'}`;
  return age < 0 ? `in ${words}` : `${words} ago`;
}

/** A loop, since `list` asks for each of thousands of images. */
function ageUnit(age: number): readonly [string, number] {
  let index = 0;
  while (index < AGES.length && age < (AGES[index]?.[1] ?? 0)) index += 1;
  return AGES[index] ?? ['moment', 0];
}
