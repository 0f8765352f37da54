import { createHash } from 'node:crypto';
import type { DecoderWorkspace } from '../codec/lz4-backend.ts';
import { isTartletError } from '../errors.ts';
import { Digest } from '../names/digest.ts';
import { ContentDecoder } from '../peering/content-stream.ts';
import { asFailure, isHonest, PeerFailure } from '../peering/peer-failure.ts';
import type { Peers } from '../peering/peers.ts';
import type { FetchJob, PeerBytes } from './chunk-job.ts';
import { DiskWindow } from './disk-window.ts';
import { withDecoder } from './lz4-backend.ts';
import { Stopwatch } from './time-spent.ts';
import type { Pause } from './urgency/pause.ts';

/** What taking a chunk from peers needs beside its job. */
export interface PeerContext {
  readonly peers: Peers;
  readonly signal: AbortSignal;
  readonly onPeerBytes: (bytes: PeerBytes) => void;
  readonly stopwatch?: Stopwatch | undefined;
  /** Stands still while there is one. Default: there never is. */
  readonly pause?: Pause | undefined;
}

/**
 * Takes a chunk from peers that say to have its content: the first of them, and where that one ends, the next goes on.
 * Hashed and written while it streams, as a chunk of the registry is; the digest of the content decides, so that a
 * wrong peer costs time and nothing else. A peer that is too slow, gone, or wrong is dropped.
 *
 * @returns `whole` when the chunk is verified in its places; else whether anything was written there.
 * @throws TartletError `DISK_*`, and the reason of the signal.
 */
export async function fetchFromPeers(job: FetchJob, context: PeerContext): Promise<'whole' | 'touched' | 'untouched'> {
  const among = (job.peers ?? []).filter((peer) => context.peers.find(peer) !== undefined);
  if (among.length === 0) return 'untouched';
  return withDecoder(async (workspace) => {
    const taking = new PeerChunk(job, context, workspace);
    try {
      for (const peer of among) if ((await taking.take(peer)) === 'over') break;
      return taking.outcome();
    } finally {
      taking.close();
    }
  });
}

/** One chunk on its way from peers. */
class PeerChunk {
  readonly #job: FetchJob;
  readonly #context: PeerContext;
  readonly #workspace: DecoderWorkspace;
  readonly #content;
  readonly #window: DiskWindow;
  /** Those that a part of it is from. */
  readonly #givers = new Set<number>();
  #delivered = 0;
  #wire = 0;
  #spared = 0;

  constructor(job: FetchJob, context: PeerContext, workspace: DecoderWorkspace) {
    this.#job = job;
    this.#context = context;
    this.#workspace = workspace;
    this.#content = createHash(Digest.parse(job.contentDigest).algorithm);
    this.#window = new DiskWindow(job.disk, job.offsets, job.contentSize, job.fresh);
  }

  /** @returns `over` when the chunk is there, or what is there of it can not be trusted. */
  async take(peer: number): Promise<'over' | 'unfinished'> {
    const { peers, signal } = this.#context;
    const before = this.#delivered;
    try {
      await this.#stream(peer);
      return 'over';
    } catch (error) {
      signal.throwIfAborted();
      if (isTartletError(error) && !isTartletError(error, 'CHUNK_CORRUPT', 'SIZE_MISMATCH')) throw error;
      const failure = isTartletError(error) ? new PeerFailure('wrong-content', error) : asFailure(error);
      if (isHonest(failure.fault)) peers.pause(peer);
      else peers.drop(peer, failure.fault);
      return failure.fault === 'wrong-content' ? 'over' : 'unfinished';
    } finally {
      if (this.#delivered > before) this.#givers.add(peer);
    }
  }

  async #stream(peer: number): Promise<void> {
    const found = this.#context.peers.find(peer);
    if (found === undefined) throw new PeerFailure('absent');
    const { contentDigest, contentSize } = this.#job;
    const { stopwatch = new Stopwatch() } = this.#context;
    const from = this.#delivered;
    const decoder = new ContentDecoder({
      expectedBytes: contentSize - from,
      workspace: this.#workspace,
      onOutput: (bytes, zero) => {
        this.#content.update(bytes);
        stopwatch.onDisk(() => this.#window.write(bytes, zero));
        this.#delivered += bytes.length;
      },
    });
    const signal = AbortSignal.any([this.#context.signal, found.dropped]);
    const part = { content: contentDigest, size: contentSize, from };
    const pass = async (): Promise<void> => this.#context.pause?.pass(signal);
    const watch = { signal, delivered: () => this.#delivered - from, pass };
    for await (const piece of found.client.content(part, watch)) {
      stopwatch.onProcessor(() => decoder.push(piece));
      this.#count(piece.length);
    }
    if (!decoder.isWhole) throw new PeerFailure('unreachable');
  }

  /** What counts of the blob is in proportion to the content that is there. */
  #count(wire: number): void {
    const { blob, contentSize } = this.#job;
    const spared = Math.floor((blob.size * this.#delivered) / contentSize);
    this.#context.onPeerBytes({ wire, spared: spared - this.#spared });
    this.#wire += wire;
    this.#spared = spared;
  }

  outcome(): 'whole' | 'touched' | 'untouched' {
    const isWhole = this.#delivered === this.#job.contentSize;
    if (isWhole && this.#job.contentDigest.endsWith(`:${this.#content.digest('hex')}`)) return 'whole';
    // Which of several was wrong cannot be told.
    if (isWhole) for (const peer of this.#givers) this.#context.peers.drop(peer, 'wrong-content');
    this.#context.onPeerBytes({ wire: -this.#wire, spared: -this.#spared });
    return this.#delivered === 0 ? 'untouched' : 'touched';
  }

  close(): void {
    this.#window.close();
  }
}
