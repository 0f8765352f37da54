import type { Clock } from './clock.ts';
import type { Limits } from './limits.ts';

/** Somebody who can be told why nothing happens. */
export type OnWait = (event: { readonly reason: string; readonly milliseconds: number }) => void;

/** What pausing needs. */
export interface Timing {
  readonly clock: Clock;
  readonly limits: Limits;
  readonly onWait?: OnWait;
}

/** Counts failures without progress, and waits longer after each: full jitter over 0.5 s · 2ⁿ, at most 30 s (reliability §0.2). */
export class Backoff {
  readonly #timing: Timing;
  #failures = 0;

  constructor(timing: Timing) {
    this.#timing = timing;
  }

  /** There was progress: what failed before does not count any more. */
  reset(): void {
    this.#failures = 0;
  }

  /** Notes a failure. False when there were `attempts` of them without progress: give up. */
  allows(attempts: number = this.#timing.limits.attempts): boolean {
    this.#failures += 1;
    return this.#failures < attempts;
  }

  /** The pause that follows the failures so far, in milliseconds; at least `atLeastMs`, with jitter on top. */
  delay(atLeastMs?: number): number {
    const { clock, limits } = this.#timing;
    const window = Math.min(limits.backoffCapMs, limits.backoffMs * 2 ** (this.#failures - 1));
    const jitter = clock.random() * (atLeastMs === undefined ? window : limits.backoffMs);
    return Math.round((atLeastMs ?? 0) + jitter);
  }

  async pause(reason: string, signal?: AbortSignal, milliseconds = this.delay()): Promise<void> {
    this.#timing.onWait?.({ reason, milliseconds });
    await this.#timing.clock.sleep(milliseconds, signal);
  }
}
