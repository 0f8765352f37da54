import type { PeerFault } from '../peering/peer-failure.ts';
import type { PeerList } from '../peering/peers.ts';
import type { ChunkJob, PeerBytes, RegistrySettings } from './chunk-job.ts';
import type { SharedSource } from '../registry/mirrors/registry-source.ts';
import type { ReadyThreads } from './ready-threads.ts';
import type { Again } from './urgency/job-queue.ts';
import type { UnderWay, Urgency } from './urgency/urgency.ts';

/** Where the jobs of a pool read, or what they write to; both absent for a pool that only looks at disks. */
export type PoolRegistry =
  | {
      readonly source: SharedSource;
      readonly settings: Pick<RegistrySettings, 'userAgent' | 'environment' | 'rateLimit'>;
    }
  | { readonly source?: undefined; readonly settings?: undefined };

export type PoolOptions = PoolRegistry & {
  /** Most jobs at once. */
  readonly concurrency: number;
  /**
   * There are never more threads than that: a thread waits for the network without blocking its other jobs, and each
   * one costs some 40 MB.
   */
  readonly processors: number;
  /** Threads that were started early. The caller stops those that the pool did not take. */
  readonly ready?: ReadyThreads | undefined;
  readonly signal: AbortSignal;
  /** Told of bytes that crossed the network, or left a file of blobs. */
  readonly onBytes: (count: number, job: ChunkJob['kind'] | undefined) => void;
  /** Told of work on the disk, in bytes of it: as hashing, encoding and pushing go on. Default: nothing is. */
  readonly onWork?: (job: ChunkJob['kind'], diskBytes: number) => void;
  readonly onWait: (reason: string, milliseconds: number) => void;
  /** Peers that jobs may name to be asked before the registry. Default: none. */
  readonly peers?: PoolPeers | undefined;
};

/** The peers of a pool, and the callbacks about them. */
export interface PoolPeers {
  readonly list: PeerList;
  readonly onPeerBytes: (bytes: PeerBytes) => void;
  /** Told of each peer that is asked no more, by its place in the list, once or more. */
  readonly onDropped: (peer: number, fault: PeerFault) => void;
}

/** What a job did so far. */
export interface Moved {
  /** Bytes that crossed the network, or left a file of blobs; those that have to come again do not count. */
  readonly bytes: number;
  /** Work on the disk, in bytes of it. */
  readonly diskBytes: number;
}

/** What is told of jobs beside their results. */
export interface JobListeners<J extends ChunkJob> {
  /** Told of each failure; when it returns true, the others go on. Default: none is survived. */
  readonly survives?: ((job: J, error: unknown) => boolean) | undefined;
  /**
   * Told of each failure of a job itself, not of what its result is for, with how long it was under way in
   * milliseconds. What it gives is how the job is tried again, with everywhere that it can come from asked anew;
   * undefined: it is not. Default: none is.
   */
  readonly again?: ((job: J, error: unknown, tookMs: number) => Promise<Again<J> | undefined>) | undefined;
  /**
   * Waited for before a job begins; what it gives is called when the job has ended, and `later` puts it off. The signal
   * tells that another has failed.
   */
  readonly enter?: ((job: J, signal: AbortSignal) => Promise<(() => void) | 'later'>) | undefined;
  /**
   * Urgent jobs begin before the others, also when all places are taken, and while they fetch, the others stand still.
   * Default: none is urgent.
   */
  readonly urgency?: Urgency<J> | undefined;
  /** Told of each job when it begins, and then of what it did so far, at most ten times a second. */
  readonly onMoved?: ((job: J, moved: Moved) => void) | undefined;
  /** Told of each job when it begins. `stop` ends this one alone, with `INTERRUPTED`. */
  readonly onBegun?: ((job: J, stop: () => void) => void) | undefined;
  /** Told of each piece of a job for pieces that is on the disk, and verified, by its number. */
  readonly onPiece?: ((job: J, index: number) => void) | undefined;
}

/** How a job is watched. */
export interface JobWatch extends Pick<UnderWay, 'isUrgent'> {
  /** Ends it. */
  readonly signal: AbortSignal;
  readonly onMoved: (moved: Moved) => void;
  readonly onPiece: (index: number) => void;
}
