import type { Clock } from './clock.ts';
import type { Limits } from './limits.ts';
import { RETRY_POLICY, type FailureKind } from './retry-policy.ts';

/** Called with the reason and the length of a pause before it begins. */
export type OnWait = (event: { readonly reason: string; readonly milliseconds: number }) => void;

/** What pausing needs. */
export interface Timing {
  readonly clock: Clock;
  readonly limits: Limits;
  readonly onWait?: OnWait | undefined;
}

/**
 * Counts the failures of one undertaking, from opening a connection to the last byte of a blob, as long as there is no
 * progress, and waits longer after each: full jitter over 0.5 s · 2ⁿ, at most 30 s (reliability §0.2). How many of
 * which kind are borne is in {@link RETRY_POLICY}; and of those that waited for an answer in vain not more than fit
 * into `limits.inVainMs`, but two (reliability N61, S20).
 */
export class Backoff {
  readonly #timing: Timing;
  readonly #inVainMs: number;
  readonly #failures: FailureKind[] = [];
  #waitedMs = 0;
  /** When the try under way began to wait. */
  #since: number;

  /** @param inVainMs see above; Infinity where the time of a try is spent on sending. */
  constructor(timing: Timing, inVainMs: number = timing.limits.inVainMs) {
    this.#timing = timing;
    this.#inVainMs = inVainMs;
    this.#since = timing.clock.monotonic();
  }

  /** A try begins: what was waited for before was our turn. */
  begins(): void {
    this.#since = this.#timing.clock.monotonic();
  }

  /** There was progress: what failed before does not count any more. */
  reset(): void {
    this.#failures.length = 0;
    this.#waitedMs = 0;
    this.begins();
  }

  /**
   * Notes a failure. False when there were too many without progress, of this kind or of all, or too long ones: give
   * up.
   */
  shouldRetry(failureKind: FailureKind): boolean {
    this.#failures.push(failureKind);
    const { attempts = Infinity } = RETRY_POLICY[failureKind];
    const same = this.#failures.filter((each) => each === failureKind).length;
    if (failureKind === 'timed-out') this.#waitedMs += this.#timing.clock.monotonic() - this.#since;
    if (failureKind === 'timed-out' && same > 1 && this.#waitedMs >= this.#inVainMs) return false;
    return same < attempts && this.#failures.length < this.#timing.limits.attempts;
  }

  /** The pause that follows the failures so far, in milliseconds; at least `atLeastMs`, with jitter on top. */
  delay(atLeastMs?: number): number {
    const { clock, limits } = this.#timing;
    const window = Math.min(limits.backoffCapMs, limits.backoffMs * 2 ** (this.#failures.length - 1));
    const jitter = clock.random() * (atLeastMs === undefined ? window : limits.backoffMs);
    return Math.round((atLeastMs ?? 0) + jitter);
  }

  async pause(reason: string, signal?: AbortSignal, milliseconds = this.delay()): Promise<void> {
    this.#timing.onWait?.({ reason, milliseconds });
    await this.#timing.clock.sleep(milliseconds, signal);
    this.begins();
  }
}
