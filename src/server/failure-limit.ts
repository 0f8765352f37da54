const WINDOW_MS = 60_000;
/** Wrong passwords per address and minute before the next one is not even looked at. */
const MAX_FAILURES = 20;
/** Addresses remembered; the oldest are forgotten first. */
const MAX_ADDRESSES = 10_000;

/** Slows down guessing from one address (reliability S41). Behind a proxy all clients share one, so the limit is generous. */
export class FailureLimit {
  readonly #now: () => number;
  readonly #windows = new Map<string, { readonly since: number; count: number }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** How long the address has to wait, in milliseconds; 0 when it may try. */
  waitFor(address: string): number {
    const window = this.#windows.get(address);
    if (window === undefined || window.count < MAX_FAILURES) return 0;
    return Math.max(0, window.since + WINDOW_MS - this.#now());
  }

  failed(address: string): void {
    const window = this.#windows.get(address);
    if (window !== undefined && this.#now() - window.since < WINDOW_MS) {
      window.count += 1;
      return;
    }
    this.#windows.delete(address);
    this.#windows.set(address, { since: this.#now(), count: 1 });
    const oldest = this.#windows.keys().next();
    if (this.#windows.size > MAX_ADDRESSES && oldest.done !== true) this.#windows.delete(oldest.value);
  }
}
