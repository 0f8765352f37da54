import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { describeError, TartletError } from '../errors.ts';
import type { ChunkJob, ChunkResult } from './chunk-job.ts';
import type { UnderWay } from './urgency/urgency.ts';

/**
 * Threads that are started before there is work for them: that takes a tenth of a second, in which the registry is
 * asked what there is to do. Threads that no pool took are stopped in the end.
 */
export class ReadyThreads {
  readonly #processors: number;
  readonly #waiting: Worker[] = [];

  constructor(processors: number) {
    this.#processors = processors;
  }

  /** Starts as many as there will be work for, but never more than there are processors. */
  start(count: number): void {
    while (this.#waiting.length < Math.min(count, MOST, this.#processors)) {
      const worker = startThread();
      // Whatever befalls one that waits, the next is started when there is work.
      const forget = (): void => {
        const at = this.#waiting.indexOf(worker);
        if (at >= 0) this.#waiting.splice(at, 1);
      };
      worker.on('error', forget).on('exit', forget);
      this.#waiting.push(worker);
    }
  }

  /** One that waits, or a new one. */
  take(): Worker {
    return this.#waiting.shift() ?? startThread();
  }

  /** Stops those that no pool took. */
  async close(): Promise<void> {
    await Promise.all(this.#waiting.map(async (worker) => worker.terminate()));
  }
}

/** An image of one chunk needs one; more are started when there is work for them. */
const MOST = 2;

/** Starts a thread for chunks. The caller stops it. */
export function startThread(): Worker {
  return new Worker(workerFile());
}

/**
 * The built worker. From the sources, i.e. in tests, it is the one in `dist`, because Node 20 cannot run TypeScript.
 */
function workerFile(): URL {
  const beside = new URL('./chunk-worker.js', import.meta.url);
  return existsSync(fileURLToPath(beside)) ? beside : new URL('../../dist/chunks/chunk-worker.js', import.meta.url);
}

/** A thread at work in a pool, and the jobs that it was given. */
export interface Thread {
  readonly worker: Worker;
  readonly endServices: () => void;
  readonly pending: Map<number, Pending>;
}

/** A job that a thread was given. */
export interface Pending extends UnderWay {
  readonly kind: ChunkJob['kind'];
  /** Adds to what the job did. */
  readonly move: (more: { readonly bytes?: number; readonly diskBytes?: number }) => void;
  readonly onPiece: (index: number) => void;
  readonly resolve: (result: ChunkResult) => void;
  readonly reject: (error: unknown) => void;
}

/** A thread that ended, or broke, with whatever it was given. */
export function workerFailure(cause: unknown): TartletError {
  return new TartletError('INTERNAL', `a worker thread failed: ${describeError(cause)}`, { cause });
}
