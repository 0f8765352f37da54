import { systemClock } from '../../registry/request/clock.ts';
import type { Urgency } from './urgency.ts';

/** How a job that failed is tried again. */
export interface Again<J> {
  /** The same, or one that goes on where it ended. */
  readonly job: J;
  /** In milliseconds. */
  readonly afterMs: number;
  /** What failed: this job alone, or what all jobs need. Then all of them rest, and after that one tries for all. */
  readonly failed: 'job' | 'all';
}

/** Gives out jobs one by one, where it is not known from the beginning which there will be. */
export interface JobSource<J> {
  /**
   * The next one.
   * @param which `urgent`: undefined unless one is.
   * @returns undefined when there is none now.
   */
  take(which: 'any' | 'urgent'): J | undefined;
  readonly hasUrgent: boolean;
  /** Above 0 as long as there may be more. */
  readonly length: number;
  /** Calls back whenever there may be another one. @returns what ends that. */
  onChange(listener: () => void): () => void;
}

/** Whether jobs may begin: not while they rest, and while one tries for all, no other. */
type Gate<J> =
  | { readonly kind: 'open' }
  | { readonly kind: 'resting'; readonly timer: NodeJS.Timeout; readonly until: number }
  | { readonly kind: 'trying'; readonly job: J | undefined };

/**
 * Jobs that wait for their turn: in the order of their list, but urgent ones first. One that failed may rest here until
 * it is tried again, while the others go on.
 */
export class JobQueue<J> {
  /** Those that are known. */
  readonly #jobs: J[];
  /** Where others come from. */
  readonly #source: JobSource<J> | undefined;
  readonly #ignore: (() => void) | undefined;
  readonly #urgency: Urgency<J> | undefined;
  /** Those that rest, by themselves. */
  readonly #resting = new Set<NodeJS.Timeout>();
  readonly #wakes = new Set<() => void>();
  #gate: Gate<J> = { kind: 'open' };
  /** Which said that what all need has failed. It may be alone with that: next time, another tries for all. */
  #failedLast: J | undefined;
  /** Called when there may be an urgent job that there was not before. */
  onReady: () => void = () => undefined;

  constructor(jobs: readonly J[] | JobSource<J>, urgency: Urgency<J> | undefined) {
    this.#source = 'take' in jobs ? jobs : undefined;
    this.#jobs = 'take' in jobs ? [] : [...jobs];
    this.#urgency = urgency;
    this.#ignore = this.#source?.onChange(() => this.#changed());
  }

  /** Those that rest included, and at least one as long as there may be more. */
  get length(): number {
    return this.#jobs.length + this.#resting.size + (this.#source?.length ?? 0);
  }

  add(job: J): void {
    this.#jobs.push(job);
    this.#changed();
  }

  /**
   * The next job, which is waited for as long as one rests.
   * @param which `urgent`: undefined unless one is, at once.
   * @returns undefined when none is left.
   * @throws the signal's reason
   */
  async take(which: 'any' | 'urgent', signal: AbortSignal): Promise<J | undefined> {
    for (;;) {
      const job = this.#next(which);
      if (job !== undefined || which === 'urgent' || this.length === 0) return job;
      await this.#change(signal);
    }
  }

  get hasUrgent(): boolean {
    return this.#mayBegin && (this.#urgent() >= 0 || this.#source?.hasUrgent === true);
  }

  /** A job failed, and rests until it is tried again. */
  putBack(failed: J, { job, afterMs, failed: what }: Again<J>): void {
    if (what === 'all') {
      this.#jobs.push(job);
      this.#failedLast = job;
      this.#rest(afterMs);
      return;
    }
    this.leave(failed, 'works');
    const timer = setTimeout(() => {
      this.#resting.delete(timer);
      // It was before those that are left.
      this.#jobs.unshift(job);
      this.#changed();
    }, afterMs);
    this.#resting.add(timer);
  }

  /**
   * A job has ended, or is on its way.
   * @param all whether that shows that what all jobs need is there again.
   */
  leave(job: J, all: 'works' | 'unknown'): void {
    if (this.#gate.kind === 'open') return;
    if (all === 'works') this.#open();
    else if (this.#gate.kind === 'trying' && this.#gate.job === job) {
      this.#gate = { kind: 'trying', job: undefined };
      this.#changed();
    }
  }

  /** No job begins any more. */
  close(): void {
    this.#ignore?.();
    if (this.#gate.kind === 'resting') clearTimeout(this.#gate.timer);
    for (const timer of this.#resting) clearTimeout(timer);
    this.#resting.clear();
  }

  #rest(milliseconds: number): void {
    const until = systemClock.monotonic() + milliseconds;
    if (this.#gate.kind === 'resting') {
      if (this.#gate.until >= until) return;
      clearTimeout(this.#gate.timer);
    }
    const timer = setTimeout(() => {
      this.#gate = { kind: 'trying', job: undefined };
      this.#changed();
    }, milliseconds);
    this.#gate = { kind: 'resting', timer, until };
  }

  #open(): void {
    if (this.#gate.kind === 'resting') clearTimeout(this.#gate.timer);
    this.#gate = { kind: 'open' };
    this.#changed();
  }

  get #mayBegin(): boolean {
    return this.#gate.kind === 'open' || (this.#gate.kind === 'trying' && this.#gate.job === undefined);
  }

  #next(which: 'any' | 'urgent'): J | undefined {
    if (!this.#mayBegin) return undefined;
    const job =
      this.#cut(this.#urgent()) ??
      this.#source?.take('urgent') ??
      (which === 'any' ? (this.#cut(this.#tried()) ?? this.#source?.take('any') ?? this.#jobs.shift()) : undefined);
    if (job !== undefined && this.#gate.kind === 'trying') this.#gate = { kind: 'trying', job };
    return job;
  }

  #cut(at: number): J | undefined {
    return at < 0 ? undefined : this.#jobs.splice(at, 1)[0];
  }

  #tried(): number {
    return this.#jobs.findIndex((job) => this.#isTried(job));
  }

  #urgent(): number {
    const urgency = this.#urgency;
    if (urgency === undefined) return -1;
    const isOnly = this.#jobs.length === 1 && this.#source?.hasUrgent !== true;
    return this.#jobs.findIndex((job) => urgency.isUrgent(job) && (isOnly || this.#isTried(job)));
  }

  #isTried(job: J): boolean {
    return this.#gate.kind !== 'trying' || job !== this.#failedLast;
  }

  #changed(): void {
    for (const wake of this.#wakes) wake();
    this.onReady();
  }

  async #change(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const stop = (): void => {
        this.#wakes.delete(wake);
        reject(signal.reason as Error);
      };
      const wake = (): void => {
        this.#wakes.delete(wake);
        signal.removeEventListener('abort', stop);
        resolve();
      };
      this.#wakes.add(wake);
      signal.addEventListener('abort', stop, { once: true });
    });
  }
}
