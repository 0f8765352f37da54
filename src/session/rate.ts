/** Bytes per second over the last seconds: recent enough to be true, long enough to be readable. */
export class RateMeter {
  readonly #windowMs: number;
  /** Oldest first; the first one may be older than the window, and reaches to its beginning. */
  readonly #samples: { readonly at: number; readonly total: number }[] = [];

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  /**
   * Notes how much there is by now and gives the rate.
   *
   * @param now monotonic milliseconds.
   * @returns undefined for less than a second of experience.
   */
  measure(total: number, now: number): number | undefined {
    this.#samples.push({ at: now, total });
    while ((this.#samples[1]?.at ?? Infinity) <= now - this.#windowMs) this.#samples.shift();
    const first = this.#samples[0];
    if (first === undefined || now - first.at < 1000) return undefined;
    return (Math.max(0, total - first.total) * 1000) / (now - first.at);
  }
}
