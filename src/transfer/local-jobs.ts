import { ChunkEncoder } from '../chunks/chunk-encode.ts';
import { unpackChunk } from '../chunks/chunk-fetch.ts';
import type { EncodeJob, EncodeResult, UnpackJob, UnpackResult } from '../chunks/chunk-job.ts';
import type { Session } from '../session/session.ts';
import type { Moved } from '../chunks/pool-options.ts';
import { WorkerPool } from '../chunks/worker-pool.ts';

type LocalJob = EncodeJob | UnpackJob;
type LocalResult<J extends LocalJob> = J extends EncodeJob ? EncodeResult : UnpackResult;

/** Bytes of a disk that are done before threads would have started, about. */
const WORTH_THREADS_BYTES = 64 * 1024 * 1024;

export interface LocalWork<J extends LocalJob> {
  readonly jobs: readonly J[];
  /** Most at once, in threads. */
  readonly concurrency: number;
  /** Encoded bytes as they are read. */
  readonly onBytes: (count: number) => void;
  /** Work on the disk as it goes on, in bytes of it. */
  readonly onWork?: (diskBytes: number) => void;
  /** Told of each job as it begins in a thread, and then of what it did so far. */
  readonly onMoved?: (job: J, moved: Moved) => void;
  /** Told of each result as it comes; what it does is waited for. */
  readonly onDone: (job: J, result: LocalResult<J>) => Promise<void> | void;
  /** Told of the failure that ends it. */
  readonly onFailure: (error: unknown) => void;
}

/** Does jobs that need no registry: in threads, or here where there is too little to do for starting any. */
export async function runLocally<J extends LocalJob>(session: Session, work: LocalWork<J>): Promise<void> {
  const bytes = work.jobs.reduce((sum, { contentSize }) => sum + contentSize, 0);
  await (bytes < WORTH_THREADS_BYTES ? runHere(session, work) : runInThreads(session, work));
}

async function runHere<J extends LocalJob>({ signal }: Session, work: LocalWork<J>): Promise<void> {
  const encoder = new ChunkEncoder();
  for (const job of work.jobs) {
    try {
      signal.throwIfAborted();
      const result =
        job.kind === 'encode'
          ? await encoder.encode(job, signal, undefined, work.onWork)
          : await unpackChunk(job, { signal, onBytes: work.onBytes });
      await work.onDone(job, result as LocalResult<J>);
    } catch (error) {
      work.onFailure(error);
      throw error;
    }
  }
}

async function runInThreads<J extends LocalJob>({ processors, signal }: Session, work: LocalWork<J>): Promise<void> {
  const { concurrency, onBytes, onWork, onMoved } = work;
  const pool = new WorkerPool({
    concurrency,
    processors,
    signal,
    onBytes,
    onWait: () => undefined,
    onWork: (_, diskBytes) => onWork?.(diskBytes),
  });
  try {
    await pool.runAll(work.jobs, async (job, result) => work.onDone(job, result as LocalResult<J>), {
      survives: (_, error) => {
        work.onFailure(error);
        return false;
      },
      onMoved,
    });
  } finally {
    await pool.close();
  }
}
