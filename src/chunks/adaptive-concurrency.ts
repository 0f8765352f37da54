/** How many begin; more only where that pays (as many as Tart has under way). */
const FIRST = 4;
/** Milliseconds over which the speed is measured. */
const PERIOD_MS = 1000;
/** One more may try when it became faster than ever before by this part of what the last one can have brought. */
const WORTH_IT = 0.3;

/**
 * How many may be at work at once. More by one for each second that was faster than all before it, so that a registry
 * which serves each stream slowly gets many, and one that is busy gets no more. Fewer after a complaint, and then one
 * more after each that ended well, up to what it was (reliability N28).
 */
export class AdaptiveConcurrency {
  readonly #most: number;
  readonly #queue: (() => void)[] = [];
  #now: number;
  /** What the speed has earned. */
  #earned: number;
  #inside = 0;
  #bytes = 0;
  #since: number | undefined;
  #best = 0;

  /** @param most never more than these. */
  constructor(most: number, first = FIRST) {
    this.#most = most;
    this.#now = Math.min(most, first);
    this.#earned = this.#now;
  }

  /** How many may be at work now. */
  get now(): number {
    return this.#now;
  }

  /**
   * Waits for a place. While a task waits, at least one other holds a place, so every task gets one in the end.
   * @returns what gives the place back.
   */
  async acquire(): Promise<() => void> {
    while (this.#inside >= this.#now) {
      await new Promise<void>((resolve) => {
        this.#queue.push(resolve);
      });
    }
    this.#inside += 1;
    return () => {
      this.#inside -= 1;
      this.#now = Math.min(this.#earned, this.#now + 1);
      this.#wake();
    };
  }

  /**
   * Bytes have come.
   * @param now milliseconds that never jump.
   */
  moved(bytes: number, now: number): void {
    this.#since ??= now;
    this.#bytes += bytes;
    const elapsed = now - this.#since;
    if (elapsed < PERIOD_MS) return;
    const rate = this.#bytes / elapsed;
    this.#bytes = 0;
    this.#since = now;
    if (rate < this.#best * (1 + WORTH_IT / this.#now)) return;
    this.#best = rate;
    // Where no task waits for a place, or others were too many, one more place would measure nothing.
    if (this.#queue.length === 0 || this.#now < this.#earned || this.#earned === this.#most) return;
    this.#earned += 1;
    this.#now = this.#earned;
    this.#wake();
  }

  /** The other side wants fewer. */
  decrease(): void {
    this.#now = Math.max(1, Math.floor(this.#now / 2));
  }

  #wake(): void {
    for (const wake of this.#queue.splice(0)) wake();
  }
}
