import type { Pace } from '../request/progress.ts';
import type { AnswerWatch } from '../request/body-watch.ts';

/** How often it is looked whether something stands still, in milliseconds. */
const LOOK_MS = 250;
/** One probe after another, in milliseconds: more often while none is answered, because then the network is away. */
const AWAY_EVERY_MS = 500;
const THERE_EVERY_MS = 1000;
/** Answers to probes come in this order, give or take so many milliseconds, unless one was lost. */
const IN_ORDER_MS = 300;
/** What stood still gets so long to come by itself once the network is back, in milliseconds. */
const GRACE_MS = 250;
/**
 * What stands still although others are answered is asked for anew after so long, in milliseconds: a registry that has
 * to fetch a blob itself may be silent before its first byte, and seldom after it.
 */
const ALONE_STILL_MS = { head: 15_000, body: 5000 };
/** Each time that nothing came of it, the next one gets twice as long; in milliseconds, and at most. */
const MOST_STILL_MS = 60_000;

/** An answer that is watched. */
interface Watched {
  /** What is asked for, the same for each time that it is asked for. */
  readonly what: string;
  readonly onLost: () => void;
  /** When it was last seen to move, or began to be waited for; undefined while it is not waited for. */
  stillSince: number | undefined;
  isBody: boolean;
}

/** A probe under way. */
interface Probe {
  readonly begun: number;
  readonly end: AbortController;
}

/**
 * Tells answers that will never come from those that take their time, for one place. While an answer stands still, the
 * place is asked something small, on new connections: one that is lost while a later one is answered shows that the
 * network was away and is back. What stood still all that time is asked for anew at once then: TCP itself would find
 * out only after as long again as the network was away. A place that answers all along, and is only slow, is waited
 * for.
 */
export class LineWatch {
  readonly #probe: (signal: AbortSignal) => Promise<void>;
  readonly #pace: Pace;
  readonly #watched = new Set<Watched>();
  readonly #probes = new Set<Probe>();
  /** By what is asked for: times in a row that it was asked for anew, and nothing of it came. */
  readonly #inVain = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #lastBegun = Number.NEGATIVE_INFINITY;
  /** When the latest probe began that was lost, and that was answered. */
  #lastLost = Number.NEGATIVE_INFINITY;
  #lastAnswered = Number.NEGATIVE_INFINITY;

  /** @param probe resolves when the place answers, and rejects when it does not; within seconds. */
  constructor(probe: (signal: AbortSignal) => Promise<void>, pace: Pace) {
    this.#probe = probe;
    this.#pace = pace;
  }

  /**
   * @param what is asked for.
   * @param onLost called at most once, when the answer is to be given up.
   */
  watch(what: string, onLost: () => void): AnswerWatch {
    const watched: Watched = { what, onLost, stillSince: this.#now(), isBody: false };
    this.#watched.add(watched);
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS).unref();
    return {
      waits: () => {
        watched.isBody = true;
        watched.stillSince ??= this.#now();
      },
      came: (bytes) => {
        watched.stillSince = undefined;
        if (bytes > 0) this.#inVain.delete(what);
      },
      ends: () => this.#forget(watched),
    };
  }

  close(): void {
    for (const watched of this.#watched) this.#forget(watched);
  }

  #now(): number {
    return this.#pace.clock.monotonic();
  }

  #forget(watched: Watched): void {
    this.#watched.delete(watched);
    if (this.#watched.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    for (const { end } of this.#probes) end.abort();
  }

  /** How long it must stand still before it is given up. */
  #patience({ what }: Watched, firstMs: number): number {
    return Math.min(firstMs * 2 ** (this.#inVain.get(what) ?? 0), MOST_STILL_MS);
  }

  #look(): void {
    const now = this.#now();
    const { stillMs } = this.#pace.limits;
    let isAnyStill = false;
    for (const watched of this.#watched) {
      const { stillSince } = watched;
      if (stillSince === undefined || now - stillSince < stillMs) continue;
      isAnyStill = true;
      if (this.#isLost(watched, stillSince, now)) this.#giveUp(watched);
    }
    const every = this.#lastAnswered >= this.#lastBegun ? THERE_EVERY_MS : AWAY_EVERY_MS;
    if (isAnyStill && now - this.#lastBegun >= every - LOOK_MS / 2) this.#begin(now);
  }

  #isLost(watched: Watched, stillSince: number, now: number): boolean {
    const stillMs = now - stillSince;
    const { limits } = this.#pace;
    const isBack = this.#lastLost > stillSince && this.#lastAnswered > this.#lastLost;
    if (isBack && stillMs >= this.#patience(watched, limits.stillMs)) return now - this.#lastAnswered >= GRACE_MS;
    // No network was away, and yet this one is dead, e.g. because a router forgot it.
    const isAnswered = this.#lastAnswered > stillSince && this.#lastLost < this.#lastAnswered;
    const { head, body } = ALONE_STILL_MS;
    return isAnswered && stillMs >= this.#patience(watched, watched.isBody ? body : head);
  }

  #giveUp(watched: Watched): void {
    this.#inVain.set(watched.what, (this.#inVain.get(watched.what) ?? 0) + 1);
    this.#forget(watched);
    watched.onLost();
  }

  #begin(begun: number): void {
    const probe: Probe = { begun, end: new AbortController() };
    this.#lastBegun = begun;
    this.#probes.add(probe);
    void this.#probe(probe.end.signal)
      .then(
        () => this.#answered(probe),
        () => this.#lost(probe),
      )
      .finally(() => this.#probes.delete(probe));
  }

  #answered({ begun }: Probe): void {
    this.#lastAnswered = Math.max(this.#lastAnswered, begun);
    for (const other of this.#probes) {
      if (other.begun > begun - IN_ORDER_MS) continue;
      this.#lost(other);
      other.end.abort();
    }
  }

  #lost({ begun, end }: Probe): void {
    if (!end.signal.aborted) this.#lastLost = Math.max(this.#lastLost, begun);
  }
}
