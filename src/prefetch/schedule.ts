/** How often an image is looked for. */
export interface Rhythm {
  /** Milliseconds from one try to the next. */
  readonly intervalMs: number;
  /** Up to so many milliseconds more, by chance: machines that started together do not ask together. */
  readonly jitterMs: number;
}

/** The first try after a failure comes so soon; each further one takes twice as long, up to the interval. */
const RETRY_MS = 60_000;

/**
 * When the next try is due.
 *
 * @param failures tries that failed since the last success.
 * @param chance uniform in [0, 1).
 */
export function nextTry(now: Date, { intervalMs, jitterMs }: Rhythm, failures: number, chance: number): Date {
  const wait = failures === 0 ? intervalMs : Math.min(intervalMs, RETRY_MS * 2 ** Math.min(failures - 1, 20));
  const jitter = Math.min(jitterMs, wait) * chance;
  return new Date(now.getTime() + wait + Math.round(jitter));
}
