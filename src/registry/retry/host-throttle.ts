import type { Timing } from '../request/backoff.ts';

/** Told that a host (its origin) wants to be spared for so many milliseconds. */
export type OnHold = (origin: string, milliseconds: number) => void;

/** One host: until when it wants no requests, and how many may wait for its answer at once. */
interface Host {
  /** On the monotonic clock, in milliseconds. */
  notBefore: number;
  /** Infinity as long as the host never complained. */
  concurrency: number;
  /** Requests that are under way and have no answer yet; while `concurrency` is Infinity they do not count. */
  waiting: number;
  readonly queue: (() => void)[];
}

/** From so many at once on requests are not limited any more. */
const UNLIMITED_FROM = 16;

/**
 * When a request may go to a host; shared by all requests of a client, so that they do not storm it together (N26,
 * N28). After a complaint (429, 503) all requests wait as long as the host asks, then one is sent; each answer that is
 * well allows one more at once, which doubles them with every round.
 */
export class HostThrottle {
  readonly #hosts = new Map<string, Host>();
  readonly #timing: Timing;
  readonly #onHold: OnHold | undefined;

  /** @param onHold told of each complaint, for requests to the host through other clients. */
  constructor(timing: Timing, onHold?: OnHold) {
    this.#timing = timing;
    this.#onHold = onHold;
  }

  /**
   * The host complained, to us or to others: no request goes to it for so long, and then one after the other.
   * @returns whether that is news: it was not being spared already.
   */
  pauseUntil(origin: string, milliseconds: number): boolean {
    const host = this.#host(origin);
    const now = this.#timing.clock.monotonic();
    const isNews = host.notBefore <= now;
    host.notBefore = Math.max(now + milliseconds, host.notBefore);
    host.concurrency = 1;
    return isNews;
  }

  /** {@link pauseUntil}, and tells the others. */
  reportOverload(origin: string, milliseconds: number): void {
    this.pauseUntil(origin, milliseconds);
    this.#onHold?.(origin, milliseconds);
  }

  /**
   * Waits until a request to `origin` is welcome.
   * @param carriesBody such a request waits for the time only, not for its turn: its bytes may come from a request that
   * waits behind it.
   * @returns to be called once its answer is there, or it has failed.
   */
  async acquire(origin: string, carriesBody: boolean, signal?: AbortSignal): Promise<(isWell: boolean) => void> {
    const { clock, limits } = this.#timing;
    const host = this.#host(origin);
    for (;;) {
      const rest = host.notBefore - clock.monotonic();
      // Each wait is an occasion for another complaint: all is looked at again after it.
      if (rest > 0) await clock.sleep(rest + clock.random() * limits.backoffMs, signal);
      else if (carriesBody) return () => undefined;
      else if (host.waiting >= host.concurrency) await turn(host, signal);
      else break;
    }
    host.waiting += 1;
    return (isWell) => {
      host.waiting -= 1;
      if (isWell) host.concurrency = host.concurrency < UNLIMITED_FROM ? host.concurrency + 1 : Infinity;
      for (const wake of host.queue.splice(0)) wake();
    };
  }

  #host(origin: string): Host {
    let host = this.#hosts.get(origin);
    if (host === undefined) {
      host = { notBefore: 0, concurrency: Infinity, waiting: 0, queue: [] };
      this.#hosts.set(origin, host);
    }
    return host;
  }
}

/** Resolves when another request got its answer; rejects when the signal fires. */
async function turn(host: Host, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const abort = (): void => reject(signal?.reason as unknown);
    signal?.addEventListener('abort', abort, { once: true });
    host.queue.push(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    });
  });
}
