import { describeError, isDiskError } from '../errors.ts';
import { assertImageLabels, type Orchard } from '../orchard/orchard.ts';
import { type Clock, systemClock } from '../registry/request/clock.ts';
import type { Session } from '../session/session.ts';
import {
  type PrefetchReport,
  type PrefetchRequest,
  type ReadLists,
  readLists,
  readyDigests,
  refreshOne,
} from './prefetch.ts';
import { noteEntry } from './record.ts';
import type { ImageOutcome } from './refresh.ts';
import { nextTry, type Rhythm } from './schedule.ts';
import type { WantedImage } from './wanted.ts';

/** A worker of Orchard that says which images it has. */
export interface LabelledWorker {
  readonly orchard: Orchard;
  readonly worker: string;
}

/** What is kept ready for as long as the session lives. */
export interface WatchRequest extends PrefetchRequest, Rhythm {
  readonly labels?: LabelledWorker | undefined;
  /** Told of what each reading of the lists found, and of what became of each image. */
  readonly onReport?: ((report: PrefetchReport) => void) | undefined;
  /** Calls its listener when the lists are to be read again at once. */
  readonly onReload?: ((listener: () => void) => void) | undefined;
  /** Default: the system's. */
  readonly clock?: Clock | undefined;
}

/** The longest sleep: the clock on the wall may be changed, and machines sleep. */
const LONGEST_SLEEP_MS = 30_000;
/** So often the labels of a worker are said again: it loses them when it registers anew. */
const LABELS_EVERY_MS = 60_000;

/**
 * Keeps images ready until the signal of the session ends it: reads the lists at each interval, and each image when it
 * is due.
 *
 * @throws the reason of the signal, and TartletError as `prefetch`.
 */
export async function watchPrefetch(session: Session, request: WatchRequest): Promise<never> {
  return new Watch(session, request).run();
}

/** What could not be written, in the place of a list. */
const RECORD = 'the record of prefetched images';

class Watch {
  readonly #session: Session;
  readonly #request: WatchRequest;
  readonly #clock: Clock;
  #wanted: readonly WantedImage[] = [];
  /**
   * When those names are due again that were refreshed by this process, in milliseconds since 1970: the others are due
   * now, whatever an earlier one planned. The record says the same to others, where the disk has room for it.
   */
  readonly #dueAt = new Map<string, number>();
  #wake = new AbortController();
  /** When the lists, and the labels, are due, in milliseconds since 1970. */
  #listsAt = 0;
  #labelsAt = 0;

  constructor(session: Session, request: WatchRequest) {
    this.#session = session;
    this.#request = request;
    this.#clock = request.clock ?? systemClock;
  }

  async run(): Promise<never> {
    this.#request.onReload?.(() => {
      this.#listsAt = 0;
      this.#wake.abort();
    });
    for (;;) {
      this.#session.signal.throwIfAborted();
      if (this.#now() >= this.#listsAt) await this.#readLists();
      const due = this.#due();
      for (const wanted of due.now) {
        if (this.#listsAt === 0) break;
        await this.#refresh(wanted);
        await this.#sayLabels();
      }
      await this.#sayLabels();
      if (due.now.length === 0 && this.#listsAt !== 0) await this.#sleep(Math.min(due.next, this.#listsAt));
    }
  }

  #now(): number {
    return this.#session.now().getTime();
  }

  async #readLists(): Promise<void> {
    this.#listsAt = nextTry(this.#session.now(), this.#request, 0, this.#clock.random()).getTime();
    const isFirst = this.#wanted.length === 0;
    let lists: ReadLists;
    try {
      lists = await readLists(this.#session, this.#request);
    } catch (error) {
      // What was wanted stays wanted while the disk is full: only a watch that never began ends for it.
      this.#session.signal.throwIfAborted();
      if (isFirst || !isDiskError(error)) throw error;
      lists = { wanted: this.#wanted, failedSources: [{ source: RECORD, error }], broken: [] };
    }
    const { wanted, failedSources, broken } = lists;
    this.#wanted = wanted;
    if (failedSources.length > 0) this.#listsAt = Math.min(this.#listsAt, this.#now() + LABELS_EVERY_MS);
    this.#request.onReport?.({ images: [], failedSources, broken });
  }

  /** Images that are due now, and when the next one is. */
  #due(): { readonly now: readonly WantedImage[]; readonly next: number } {
    const times = this.#wanted.map((wanted) => ({ wanted, at: this.#dueAt.get(wanted.name.toString()) ?? 0 }));
    return {
      now: times.filter(({ at }) => at <= this.#now()).map(({ wanted }) => wanted),
      next: Math.min(...times.map(({ at }) => at), Number.POSITIVE_INFINITY),
    };
  }

  async #refresh(wanted: WantedImage): Promise<void> {
    const outcome: ImageOutcome = await refreshOne(this.#session, wanted, this.#request, this.#clock);
    await this.#plan(wanted, outcome);
    this.#request.onReport?.({ images: [outcome], failedSources: [], broken: [] });
  }

  async #plan({ name }: WantedImage, outcome: ImageOutcome): Promise<void> {
    const key = name.toString();
    if (outcome.kind === 'quiet') {
      this.#dueAt.set(key, outcome.until.getTime());
      return;
    }
    const chance = this.#clock.random();
    // A failure that the disk had no room for is one as well.
    const known = outcome.kind === 'failed' ? 1 : 0;
    const dueAfter = (failures: number): Date =>
      nextTry(this.#session.now(), this.#request, Math.max(failures, known), chance);
    this.#dueAt.set(key, dueAfter(known).getTime());
    await noteEntry(this.#session, key, (entry) => {
      const due = dueAfter(entry.failures);
      this.#dueAt.set(key, due.getTime());
      return { ...entry, nextTry: due.toISOString() };
    });
  }

  async #sayLabels(): Promise<void> {
    const { labels } = this.#request;
    if (labels === undefined || this.#now() < this.#labelsAt) return;
    this.#labelsAt = this.#now() + LABELS_EVERY_MS;
    await sayLabels(this.#session, labels);
  }

  async #sleep(until: number): Promise<void> {
    const labelsAt = this.#request.labels === undefined ? Number.POSITIVE_INFINITY : this.#labelsAt;
    const left = Math.min(until, labelsAt) - this.#now();
    this.#wake = new AbortController();
    const signal = AbortSignal.any([this.#wake.signal, this.#session.signal]);
    await this.#clock.sleep(Math.min(Math.max(left, 0), LONGEST_SLEEP_MS), signal).catch(() => undefined);
  }
}

/** Says which images are ready. What goes wrong with it is told, and tried again: images are ready without it. */
export async function sayLabels(session: Session, { orchard, worker }: LabelledWorker): Promise<boolean> {
  try {
    await assertImageLabels(session, orchard, worker, await readyDigests(session));
    return true;
  } catch (error) {
    session.signal.throwIfAborted();
    session.emit({ kind: 'note', subject: worker, text: `its labels were not set: ${describeError(error)}` });
    return false;
  }
}
