/*
 * More than 250 lines, because what a pool tells its threads and hears of them is one conversation.
 */
import { setMaxListeners } from 'node:events';
import { fromPlainError, TartletError } from '../errors.ts';
import type { SharedClient } from '../registry/contract.ts';
import { systemClock } from '../registry/request/clock.ts';
import type { ChunkJob, ChunkResult, FromWorker, PeerDropped, ResultOf, ToWorker } from './chunk-job.ts';
import type { JobListeners, JobWatch, Moved, PoolOptions } from './pool-options.ts';
import { type Pending, startThread, type Thread, workerFailure } from './ready-threads.ts';
import { introduce } from './thread-registry.ts';
import type { TimeSpent } from './time-spent.ts';
import { inLanes } from './urgency/job-lanes.ts';
import { JobQueue, type JobSource } from './urgency/job-queue.ts';
import type { PauseState } from './urgency/pause.ts';
import { pauseForUrgent } from './urgency/urgency.ts';
import { AdaptiveConcurrency } from './adaptive-concurrency.ts';

/** Threads for the chunks of one transfer. */
export class WorkerPool {
  readonly #options: PoolOptions;
  readonly #threads: Thread[] = [];
  readonly #width: AdaptiveConcurrency;
  /** For threads that are still to come. */
  readonly #droppedPeers: PeerDropped[] = [];
  #nextId = 1;
  #processorMs = 0;
  #diskMs = 0;

  /**
   * @throws TartletError `USAGE` for a concurrency that is no whole number from 1 on: nothing would be done, and look
   * finished.
   */
  constructor(options: PoolOptions) {
    const { concurrency } = options;
    if (!Number.isInteger(concurrency) || concurrency < 1) {
      throw new TartletError('USAGE', `the concurrency must be a whole number from 1 on, not ${concurrency}`, {
        next: { kind: 'give-chunk-count' },
      });
    }
    this.#options = options;
    this.#width = new AdaptiveConcurrency(concurrency);
  }

  /**
   * Does jobs, at most `concurrency` at once, in order of their list, but urgent ones first. The first failure
   * stops the others.
   * @param jobs all of them, or what gives them out one by one.
   * @param onDone told of each result as it comes; what it does is waited for. It may add jobs.
   * @returns the jobs that were put off.
   */
  async runAll<J extends ChunkJob>(
    jobs: readonly J[] | JobSource<J>,
    onDone: (job: J, result: ResultOf<J>, add: (more: J) => void) => Promise<void> | void,
    listeners: JobListeners<J> = {},
  ): Promise<J[]> {
    const { survives = () => false, enter, urgency } = listeners;
    const queue = new JobQueue(jobs, urgency);
    const later: J[] = [];
    const failure = new AbortController();
    const signal = AbortSignal.any([this.#options.signal, failure.signal]);
    setMaxListeners(0, signal); // One for each job under way, and for each lane.
    const width = this.#widthFor(jobs);
    const drain = async (which: 'any' | 'urgent'): Promise<void> => {
      for (;;) {
        const leave = which === 'any' ? await width.acquire() : undefined;
        try {
          const job = await queue.take(which, signal);
          if (job === undefined) return;
          signal.throwIfAborted();
          const end = await enter?.(job, signal);
          if (end === 'later') {
            later.push(job);
            queue.leave(job, 'unknown');
            continue;
          }
          try {
            signal.throwIfAborted(); // Another may have failed while this one waited.
            const result = await this.#try(job, queue, signal, listeners);
            if (result === undefined) continue;
            queue.leave(job, 'works');
            await onDone(job, result, (more) => queue.add(more));
          } catch (error) {
            if (signal.aborted || !survives(job, error)) throw error;
            queue.leave(job, 'unknown');
          } finally {
            end?.();
          }
        } catch (error) {
          failure.abort(error);
          throw error;
        } finally {
          leave?.();
        }
      }
    };
    const { concurrency } = this.#options;
    const lanes = 'take' in jobs ? concurrency : Math.min(concurrency, jobs.length);
    const outcomes = await inLanes(queue, lanes, drain, {
      urgency,
      onChange: () => this.#pauseForUrgent(),
    });
    this.#options.signal.throwIfAborted();
    // The reason of the abort is the first failure; the others only followed from it.
    if (failure.signal.aborted) throw failure.signal.reason as unknown;
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason as unknown;
    if (queue.length > 0) throw new TartletError('INTERNAL', `${queue.length} jobs were left over`);
    return later;
  }

  /** @returns undefined for a job that has failed, and rests now. */
  async #try<J extends ChunkJob>(
    job: J,
    queue: JobQueue<J>,
    signal: AbortSignal,
    { again, urgency, onMoved, onBegun, onPiece }: JobListeners<J>,
  ): Promise<ResultOf<J> | undefined> {
    const begun = systemClock.monotonic();
    const stop = new AbortController();
    try {
      onBegun?.(job, () => stop.abort(new TartletError('INTERRUPTED', 'it is done otherwise')));
      return await this.#run(this.#thread(), job, {
        signal: onBegun === undefined ? signal : AbortSignal.any([signal, stop.signal]),
        onPiece: (index) => onPiece?.(job, index),
        isUrgent: () => urgency?.isUrgent(job) === true,
        onMoved: (moved) => {
          if (moved.bytes > 0) queue.leave(job, 'works');
          onMoved?.(job, moved);
        },
      });
    } catch (error) {
      const next = signal.aborted ? undefined : await again?.(job, error, systemClock.monotonic() - begun);
      if (next === undefined) throw error;
      this.#askAllAgain();
      queue.putBack(job, next);
      return undefined;
    }
  }

  /** What the jobs that have ended spent their time on. */
  get spent(): TimeSpent {
    return { processorMs: this.#processorMs, diskMs: this.#diskMs };
  }

  /** How many work at the same time. */
  get threads(): number {
    return this.#threads.length;
  }

  async #run<J extends ChunkJob>(
    thread: Thread,
    job: J,
    { signal, isUrgent, onMoved, onPiece }: JobWatch,
  ): Promise<ResultOf<J>> {
    const id = this.#nextId;
    this.#nextId += 1;
    const abort = (): void => thread.worker.postMessage({ kind: 'abort', id } satisfies ToWorker);
    signal.addEventListener('abort', abort, { once: true });
    let moved: Moved = { bytes: 0, diskBytes: 0 };
    const move = ({ bytes = 0, diskBytes = 0 }: Partial<Moved>): void => {
      moved = { bytes: moved.bytes + bytes, diskBytes: moved.diskBytes + diskBytes };
      onMoved(moved);
    };
    try {
      move({});
      return await new Promise<ResultOf<J>>((resolve, reject) => {
        const settle = { resolve: resolve as (result: ChunkResult) => void, reject };
        const pause = (state: PauseState): void =>
          thread.worker.postMessage({ kind: 'pause', id, state } satisfies ToWorker);
        thread.pending.set(id, { kind: job.kind, isUrgent, paused: 'off', pause, move, onPiece, ...settle });
        thread.worker.postMessage({ kind: 'job', id, job } satisfies ToWorker);
        this.#pauseForUrgent();
      });
    } finally {
      thread.pending.delete(id);
      signal.removeEventListener('abort', abort);
      this.#pauseForUrgent();
    }
  }

  #pauseForUrgent(): void {
    pauseForUrgent(this.#threads.flatMap(({ pending }) => [...pending.values()]));
  }

  /** How many work at once is found out only where a network is between. */
  #widthFor(jobs: readonly ChunkJob[] | JobSource<ChunkJob>): AdaptiveConcurrency {
    const isLocal = !('take' in jobs) && jobs.every(({ kind }) => kind !== 'fetch' && kind !== 'push');
    return isLocal ? new AdaptiveConcurrency(this.#options.concurrency, this.#options.concurrency) : this.#width;
  }

  /** The thread with the least to do; a new one while all are busy and there are processors. */
  #thread(): Thread {
    const [calmest] = this.#threads.toSorted((a, b) => a.pending.size - b.pending.size);
    if (calmest !== undefined && (calmest.pending.size === 0 || this.#threads.length >= this.#options.processors)) {
      return calmest;
    }
    const worker = this.#options.ready?.take() ?? startThread();
    const thread: Thread = { worker, endServices: introduce(worker, this.#options), pending: new Map() };
    const { peers } = this.#options;
    if (peers !== undefined) worker.postMessage({ kind: 'peers', list: peers.list } satisfies ToWorker);
    for (const dropped of this.#droppedPeers) worker.postMessage(dropped);
    const fail = (error: TartletError): void => {
      for (const { reject } of thread.pending.values()) reject(error);
    };
    worker.on('message', (message: FromWorker) => this.#hear(thread, message));
    worker.on('error', (cause) => fail(workerFailure(cause)));
    worker.on('exit', (status) => {
      // No other job may be given to it: it would never answer.
      const at = this.#threads.indexOf(thread);
      if (at >= 0) this.#threads.splice(at, 1);
      fail(workerFailure(`it ended with status ${status}`));
    });
    this.#threads.push(thread);
    return thread;
  }

  #hear(thread: Thread, message: FromWorker): void {
    switch (message.kind) {
      case 'piece':
        thread.pending.get(message.id)?.onPiece(message.index);
        // Nothing of the job may be waited for any more.
        this.#pauseForUrgent();
        break;
      case 'bytes':
        this.#hearBytes(thread.pending.get(message.id), message.count);
        break;
      case 'work':
        this.#hearWork(thread.pending.get(message.id), message.diskBytes);
        break;
      case 'spent':
        this.#processorMs += message.spent.processorMs;
        this.#diskMs += message.spent.diskMs;
        break;
      case 'wait':
        this.#options.onWait(message.reason, message.milliseconds);
        break;
      case 'wire':
        this.#clients[0]?.onWire?.(message.event);
        break;
      case 'peer-bytes':
        this.#options.peers?.onPeerBytes(message.bytes);
        thread.pending.get(message.id)?.move({ bytes: message.bytes.spared });
        this.#width.moved(message.bytes.wire, systemClock.monotonic());
        break;
      case 'peer-dropped':
        this.#droppedPeers.push(message);
        this.#options.peers?.onDropped(message.peer, message.fault);
        this.#tellOthers(thread, message);
        break;
      case 'endpoint-served':
        this.#options.source?.memory.serve(message.index);
        break;
      case 'endpoint-left':
        this.#options.source?.memory.leave(message.index, message.why);
        this.#tellOthers(thread, message);
        break;
      case 'hold': {
        const news = this.#clients.filter((client) => client.spare(message.origin, message.milliseconds));
        if (news.length > 0) this.#width.decrease();
        this.#tellOthers(thread, message);
        break;
      }
      case 'part-limit':
        for (const client of this.#clients) client.limitParts(message.bytes);
        this.#tellOthers(thread, message);
        break;
      case 'result':
        thread.pending.get(message.id)?.resolve(message.result);
        break;
      case 'error':
        thread.pending.get(message.id)?.reject(fromPlainError(message.error));
        break;
    }
  }

  get #clients(): readonly SharedClient[] {
    return (this.#options.source?.endpoints ?? []).map(({ client }) => client);
  }

  /** What failed may be had by now, wherever it may come from. */
  #askAllAgain(): void {
    this.#options.source?.memory.forget();
    for (const { worker } of this.#threads) worker.postMessage({ kind: 'ask-all-again' } satisfies ToWorker);
  }

  #tellOthers({ worker }: Thread, message: ToWorker): void {
    for (const other of this.#threads) if (other.worker !== worker) other.worker.postMessage(message);
  }

  #hearBytes(pending: Pending | undefined, count: number): void {
    this.#options.onBytes(count, pending?.kind);
    pending?.move({ bytes: count });
    if (pending?.kind !== 'unpack') this.#width.moved(count, systemClock.monotonic());
  }

  #hearWork(pending: Pending | undefined, diskBytes: number): void {
    if (pending === undefined) return;
    this.#options.onWork?.(pending.kind, diskBytes);
    pending.move({ diskBytes });
  }

  async close(): Promise<void> {
    const threads = [...this.#threads];
    for (const thread of threads) thread.endServices();
    await Promise.all(threads.map(async (thread) => thread.worker.terminate()));
  }
}
