import { TartletError } from '../../errors.ts';
import { sharedClock } from './clock.ts';

/** Which way bytes go. Each has the whole budget: what comes does not slow down what leaves, as on the wire. */
export type Way = 'in' | 'out';

/** What a limit needs of a clock; every thread of a process must read the same time from it. */
export interface RateClock {
  /** Milliseconds that never jump, from an arbitrary beginning. */
  monotonic(): number;
  /** Resolves after `ms` milliseconds, rejects with the signal's reason when it is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** A limit as plain data: another thread becomes a part of it by {@link RateLimit.join}. */
export interface SharedRate {
  readonly bytesPerSecond: number;
  /** For each way, up to when the bytes that were granted last. */
  readonly memory: SharedArrayBuffer;
}

const NANOSECONDS = 1e9;
/** So much time that was not used may be caught up with: threads wake late, but a pause must not end in a burst. */
const CATCH_UP = BigInt(0.2 * NANOSECONDS);
/** Bytes are granted in pieces of so much of a second, so that those who wait take turns, and bursts are small. */
const PIECES_PER_SECOND = 20;
const LEAST_PIECE_BYTES = 4 * 1024;
const MOST_PIECE_BYTES = 256 * 1024;

/**
 * So many bytes per second, for everything of one undertaking, in whichever thread it runs. A reader that has to wait
 * does not read, so that the sender slows down; nothing is gathered meanwhile. Those who wait are served in the order
 * in which they came, and however many they are, together they get no more.
 */
export class RateLimit {
  readonly bytesPerSecond: number;
  readonly #memory: SharedArrayBuffer;
  readonly #granted: BigInt64Array;
  readonly #clock: RateClock;

  private constructor({ bytesPerSecond, memory }: SharedRate, clock: RateClock) {
    if (!Number.isFinite(bytesPerSecond) || bytesPerSecond < 1) {
      throw new TartletError('USAGE', `a rate must be at least 1 byte per second, not ${bytesPerSecond}`);
    }
    this.bytesPerSecond = bytesPerSecond;
    this.#memory = memory;
    this.#granted = new BigInt64Array(memory);
    this.#clock = clock;
  }

  /**
   * A budget of its own.
   * @throws TartletError `USAGE` for a rate that is no number from 1 on.
   */
  static of(bytesPerSecond: number, clock: RateClock = sharedClock): RateLimit {
    return new RateLimit({ bytesPerSecond, memory: new SharedArrayBuffer(2 * 8) }, clock);
  }

  /** What a caller gave: a rate becomes a budget of its own, and a limit is what several share. */
  static from(limit: number | RateLimit | undefined): RateLimit | undefined {
    return typeof limit === 'number' ? RateLimit.of(limit) : limit;
  }

  /** The budget that another thread made: what is taken here is not left there. */
  static join(shared: SharedRate): RateLimit {
    return new RateLimit(shared, sharedClock);
  }

  /** For {@link join}. */
  get shared(): SharedRate {
    return { bytesPerSecond: this.bytesPerSecond, memory: this.#memory };
  }

  /** So many bytes should be moved at once at most. */
  get pieceBytes(): number {
    const piece = Math.floor(this.bytesPerSecond / PIECES_PER_SECOND);
    return Math.min(MOST_PIECE_BYTES, Math.max(LEAST_PIECE_BYTES, piece));
  }

  /**
   * Takes so many bytes out of the budget, and resolves when their time has passed.
   * @throws the signal's reason.
   */
  async take(way: Way, bytes: number, signal?: AbortSignal): Promise<void> {
    if (bytes <= 0) return;
    const now = nanoseconds(this.#clock);
    const over = this.#grant(
      way === 'in' ? 0 : 1,
      BigInt(Math.round((bytes * NANOSECONDS) / this.bytesPerSecond)),
      now,
    );
    if (over > now) await this.#clock.sleep(Number(over - now) / 1e6, signal);
  }

  /** @returns when the time of these bytes has passed. */
  #grant(index: number, needed: bigint, now: bigint): bigint {
    for (;;) {
      const granted = Atomics.load(this.#granted, index);
      const earliest = now - CATCH_UP;
      const over = (granted > earliest ? granted : earliest) + needed;
      if (Atomics.compareExchange(this.#granted, index, granted, over) === granted) return over;
    }
  }
}

function nanoseconds(clock: RateClock): bigint {
  return BigInt(Math.round(clock.monotonic() * 1e6));
}

/** The pieces of something that arrives, each when its time has passed. Without a limit they are what they were. */
export function arriving(
  pieces: AsyncIterator<Uint8Array>,
  limit: RateLimit | undefined,
  signal: AbortSignal | undefined,
): AsyncIterator<Uint8Array> {
  if (limit === undefined) return pieces;
  return {
    next: async () => {
      const next = await pieces.next();
      if (next.done !== true) await limit.take('in', next.value.length, signal);
      return next;
    },
    return: async () => (await pieces.return?.()) ?? { done: true, value: undefined },
  };
}

/** The pieces of something that leaves, cut into those that a limit grants at once. */
export async function* leaving(
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  limit: RateLimit,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length; at += limit.pieceBytes) {
      const part = piece.subarray(at, at + limit.pieceBytes);
      await limit.take('out', part.length, signal);
      yield part;
    }
  }
}
