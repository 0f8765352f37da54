const WINDOW_MS = 60_000;
/** Wrong passwords per client and minute before the next one is not even looked at. */
const MAX_FAILURES = 20;
/** Clients remembered; the oldest are forgotten first. */
const MAX_CLIENTS = 10_000;

/**
 * Slows down guessing by one client (reliability S41). Behind a proxy all clients share one address, so the limit is
 * generous. An attempt counts before it is looked at, or many could begin before the first of them has failed (issue
 * 14, item 5).
 */
export class FailureLimit {
  readonly #now: () => number;
  readonly #windows = new Map<string, { readonly since: number; count: number }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Counts an attempt. @returns how long the client has to wait instead, in milliseconds; 0 when it may try. */
  take(client: string): number {
    const window = this.#windows.get(client);
    if (window !== undefined && this.#now() - window.since < WINDOW_MS) {
      if (window.count >= MAX_FAILURES) return window.since + WINDOW_MS - this.#now();
      window.count += 1;
      return 0;
    }
    this.#windows.delete(client);
    this.#windows.set(client, { since: this.#now(), count: 1 });
    const oldest = this.#windows.keys().next();
    if (this.#windows.size > MAX_CLIENTS && oldest.done !== true) this.#windows.delete(oldest.value);
    return 0;
  }

  /** For an attempt that was no failure. */
  giveBack(client: string): void {
    const window = this.#windows.get(client);
    if (window !== undefined && window.count > 0) window.count -= 1;
  }
}
