/** A way to a guest that is ready, and how long its parts took. */
export interface Timed {
  readonly label: string;
  /** Milliseconds in which nothing was done but to fetch the image. */
  readonly fetchMs: number;
  /** Milliseconds from the start of the guest until it was ready. */
  readonly startMs: number;
}

/** The columns of bars where there is room. */
const MOST_BAR = 48;
/** What is left of it on a narrow terminal. */
const LEAST_BAR = 10;
const FETCHED = '=';
const STARTED = '#';

/**
 * Bars of one scale, below each other, and below them what their parts are.
 * @param columns of the terminal; undefined: of a pipe.
 */
export function timeBars(ways: readonly Timed[], columns: number | undefined): string[] {
  const label = Math.max(...ways.map((way) => way.label.length));
  const around = label + '  []  100.0 s'.length;
  const width = Math.max(LEAST_BAR, Math.min(MOST_BAR, (columns ?? Number.POSITIVE_INFINITY) - around - 1));
  const longest = Math.max(1, ...ways.map(totalMs));
  const bars = ways.map((way) => {
    const all = Math.max(1, Math.round((totalMs(way) / longest) * width));
    const fetched = Math.min(all - 1, Math.round((way.fetchMs / longest) * width));
    const bar = (FETCHED.repeat(fetched) + STARTED.repeat(all - fetched)).padEnd(width);
    return `${way.label.padEnd(label)}  [${bar}]  ${seconds(totalMs(way)).padStart(5)} s`;
  });
  return [...bars, `${' '.repeat(label)}   ${FETCHED} the image arrives   ${STARTED} the guest starts`];
}

export function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(1);
}

function totalMs({ fetchMs, startMs }: Timed): number {
  return fetchMs + startMs;
}
