import { TartletError } from '../errors.ts';
import type { RemoteName } from '../names/remote-name.ts';
import { sharedClock } from '../registry/request/clock.ts';
import type { TransferEvent } from '../session/progress.ts';
import type { Session } from '../session/session.ts';
import { pull, type PullOptions } from '../transfer/pull/pull.ts';
import { type MeasuredRate, RateMeter } from './rate-meter.ts';

/** So long the rate is measured, from the first byte on, in milliseconds. */
const MEASURE_MS = 1000;
/** So long it is waited for that, the time of the first answers included, in milliseconds. */
const PATIENCE_MS = 3000;

/**
 * A pull that has begun, to see how fast it is, and of which it is decided later whether it goes on. Until then it
 * tells nothing, but for what it deleted. What is verified when it stops is kept, and not fetched again.
 */
export class BegunPull {
  readonly #session: Session;
  readonly #stopped = new AbortController();
  readonly #begunAt = sharedClock.monotonic();
  readonly #ended: Promise<unknown>;
  /** What was not told yet; undefined once everything is told as it comes. */
  #held: TransferEvent[] | undefined = [];
  #bytes = 0;
  readonly #meter: RateMeter;
  readonly #measured: Promise<MeasuredRate | undefined>;
  #settle: (rate: MeasuredRate | undefined) => void = () => undefined;

  /** @param name which is pulled as a caller would that wants all of it. */
  constructor(session: Session, name: RemoteName, options: PullOptions) {
    this.#session = session;
    this.#measured = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#meter = new RateMeter(MEASURE_MS, (rate) => this.#settle(rate));
    const signal = AbortSignal.any([session.signal, this.#stopped.signal]);
    const beginning = session.with({ signal, onEvent: (event) => this.#see(event) });
    this.#ended = pull(beginning, name, { ...options, accept: 'flat' });
    this.#ended.then(
      () => this.#settle(this.#rateOfAll()),
      () => this.#settle(undefined),
    );
  }

  /**
   * How fast it comes: known a second after the first byte, or when all is here. Never fails.
   * @returns undefined where that does not show: another command brings the image, nothing came, or the pull failed,
   * which is told where it matters.
   */
  async measured(): Promise<MeasuredRate | undefined> {
    const timer = setTimeout(() => this.#settle(undefined), PATIENCE_MS);
    try {
      return await this.#measured;
    } finally {
      clearTimeout(timer);
      this.#meter.close();
    }
  }

  /** Brings all of it, and tells from now on what it does. @throws TartletError as {@link pull} */
  async goOn(): Promise<void> {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const event of held) this.#session.emit(event);
    await this.#ended;
  }

  /** Ends it. Never fails. */
  async stop(): Promise<void> {
    this.#stopped.abort(new TartletError('INTERRUPTED', 'enough of the image has come'));
    await this.#ended.catch(() => undefined);
  }

  #see(event: TransferEvent): void {
    if (this.#held === undefined || event.kind === 'deleted') this.#session.emit(event);
    else this.#held.push(event);
    this.#meter.see(event);
    if (event.kind === 'waiting') this.#settle(undefined);
    if (event.kind === 'started' && event.bytesTotal === 0) this.#settle({ bytesPerSecond: 0, leftBytes: 0 });
    if (event.kind === 'bytes') this.#bytes += event.count;
  }

  #rateOfAll(): MeasuredRate {
    const seconds = Math.max((sharedClock.monotonic() - this.#begunAt) / 1000, 0.001);
    return { bytesPerSecond: this.#bytes / seconds, leftBytes: this.#bytes };
  }
}
