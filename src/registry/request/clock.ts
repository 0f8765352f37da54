import { setTimeout as delay } from 'node:timers/promises';

/** Time and chance, as far as the protocol needs them; tests bring their own and wait for nothing. */
export interface Clock {
  /** Wall clock in milliseconds since 1970: only to read and to print dates. */
  now(): number;
  /** Milliseconds that never jump, from an arbitrary beginning: for ages and deadlines. */
  monotonic(): number;
  /** Resolves after `ms` milliseconds, rejects with the signal's reason when it is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Uniform in [0, 1). */
  random(): number;
}

/** The machine's own time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: async (ms, signal) => {
    try {
      await delay(ms, undefined, { signal });
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  },
  random: () => Math.random(),
};

/**
 * Time that all threads of this process read alike, in milliseconds from an arbitrary beginning. That of
 * {@link systemClock} begins with its thread.
 */
export const sharedClock: Pick<Clock, 'monotonic' | 'sleep'> = {
  monotonic: () => {
    const [seconds, nanoseconds] = process.hrtime();
    return seconds * 1e3 + nanoseconds / 1e6;
  },
  sleep: async (ms, signal) => systemClock.sleep(ms, signal),
};
