import { TartletError } from '../../errors.ts';
import type { Staging } from '../../home/staging.ts';
import { VmFile } from '../../home/vm-directory.ts';
import type { BootOrder } from '../../oci/boot-order.ts';
import type { TartImage } from '../../oci/tart-image.ts';
import type { BlobFetcher, BlobLookup } from '../../registry/contract.ts';
import type { SharedSource } from '../../registry/mirrors/registry-source.ts';
import { fetchBlobFile, type FetchRoute } from '../../chunks/blob-file.ts';
import type { GuestFill } from '../fill/disk-layers.ts';
import type { Patience } from '../fill/patience.ts';
import type { DiskBuild } from './disk-build.ts';
import type { PeerOffers } from './peer-offers.ts';
import { encodedBytes } from './plan.ts';
import type { PullRoom } from './pull-room.ts';
import type { ReadyThreads } from '../../chunks/ready-threads.ts';
import type { Session } from '../../session/session.ts';
import type { PullPlanner } from './pull-planner.ts';
import { WorkerPool } from '../../chunks/worker-pool.ts';

/** Where the blobs of an image come from: read here, and by threads that share what this one knows of it. */
export type ImageSource = BlobFetcher & BlobLookup & SharedSource & { readonly servedBy: readonly string[] };

/** How an image comes from its registry, the same for all of it. */
export interface TransferContext {
  readonly source: ImageSource;
  /** Most chunks at once. */
  readonly concurrency: number;
  /** Threads that may have been started early. */
  readonly ready?: ReadyThreads | undefined;
  /** What peers say to have of it. Default: none is asked. */
  readonly offers?: PeerOffers | undefined;
  /** What of the disk is fetched first. Default: everything in the order of the disk. */
  readonly order?: BootOrder | undefined;
  /** What is fetched while a guest waits. Default: it is not known that one does. */
  readonly guest?: GuestFill | undefined;
  /** What is done about parts that cannot be fetched. Default: the first of them is the end. */
  readonly patience?: Patience | undefined;
}

/** What crossed the network, in bytes. */
export interface Transferred {
  /** From the registry. */
  readonly fetchedBytes: number;
  /** From peers. */
  readonly peerBytes: number;
}

/** A pull that is planned and has its room. */
export interface PreparedPull {
  /** The image, for messages. */
  readonly subject: string;
  readonly context: TransferContext;
  readonly planner: PullPlanner;
  readonly room: PullRoom;
  readonly report: ChunkReport;
}

/** `at-once`: the first failure stops the others, and is thrown when all have ended. */
export type PartOrder = 'at-once' | 'in-turn';

/**
 * Disks at the same time as VM config and NVRAM; after them where images may have to be deleted for the disks
 * ({@link PullRoom}).
 */
export function orderOfParts({ mayDelete }: PullRoom): PartOrder {
  return mayDelete ? 'in-turn' : 'at-once';
}

/**
 * Brings the parts of an image with workers, and stops them when it ends.
 *
 * @param subject the image, for messages.
 * @param parts made of the workers, and of what fetches a file by itself. Both stop when the user interrupts the
 * transfer, or when a part has failed.
 */
export async function bringParts(
  session: Session,
  subject: string,
  { source, concurrency, ready, offers }: TransferContext,
  order: PartOrder,
  parts: (pool: WorkerPool, route: FetchRoute) => readonly (() => Promise<void>)[],
): Promise<Transferred> {
  let fetchedBytes = 0;
  let peerBytes = 0;
  const onBytes = (count: number): void => {
    fetchedBytes += count;
    session.emit({ kind: 'bytes', subject, count });
  };
  const failure = new AbortController();
  const signal = AbortSignal.any([session.signal, failure.signal]);
  await findBases(source);
  const pool = new WorkerPool({
    source,
    settings: {
      userAgent: session.userAgent,
      environment: session.environment,
      rateLimit: session.rateLimit?.shared,
    },
    concurrency,
    processors: session.processors,
    ready,
    signal,
    // What is decoded from where it was kept crossed the network before.
    onBytes: (count, job) => {
      if (job !== 'unpack') onBytes(count);
    },
    onWait: (reason, waitMs) => session.emit({ kind: 'retrying', subject, reason, waitMs }),
    peers: offers && {
      list: offers.list,
      onDropped: (peer, fault) => offers.drop(peer, fault),
      onPeerBytes: ({ wire, spared }) => {
        peerBytes += wire;
        session.emit({ kind: 'bytes', subject, count: spared, fromPeers: wire });
      },
    },
  });
  try {
    const all = parts(pool, { client: source, signal, onBytes });
    if (order === 'in-turn') for (const part of all) await part();
    else await Promise.all(all.map(async (part) => part().catch((error: unknown) => failure.abort(error))));
    signal.throwIfAborted();
    session.emit({ kind: 'spent', subject, threads: pool.threads, spent: pool.spent });
    return { fetchedBytes, peerBytes };
  } finally {
    await pool.close();
  }
}

/** So that no thread has to find it out. What is not asked any more needs none. */
async function findBases({ endpoints, memory }: SharedSource): Promise<void> {
  const asked = endpoints.filter((_, index) => !memory.left.has(index));
  await Promise.all(asked.map(async ({ client }) => client.endpoint()));
}

/** Fetches what is a file by itself: VM config and NVRAM. */
export async function fetchVmFiles(
  route: FetchRoute,
  image: TartImage,
  staging: Staging,
  patience?: Patience,
): Promise<void> {
  const files = [
    [image.config, VmFile.config],
    [image.nvram, VmFile.nvram],
  ] as const;
  for (const [blob, file] of files) {
    const name = blob.digest.toString();
    const fetch = async (): Promise<void> => fetchBlobFile(route, blob, staging.pathOf(file));
    await (patience === undefined ? fetch() : patience.untilDone(name, fetch, route));
  }
}

/** The events of chunks as they come, in one numbering for all files of an image. */
export class ChunkReport {
  readonly #session: Session;
  readonly #subject: string;
  #bytesTotal: number;
  /** Chunks that need not be fetched when the pull is tried again. */
  verified = 0;
  /** Blobs of which only the content was seen, as texts of their digests. */
  readonly unverified = new Set<string>();

  constructor(session: Session, subject: string, bytesTotal: number) {
    this.#session = session;
    this.#subject = subject;
    this.#bytesTotal = bytesTotal;
  }

  /** @param first number of the file's first chunk. */
  forFile(first: number): Pick<DiskBuild, 'onChunk' | 'onUnderWay' | 'onMissing'> {
    const subject = this.#subject;
    return {
      onChunk: ({ index, size, descriptor }, how) => {
        this.verified += 1;
        if (how !== 'fetched' && how !== 'found') this.unverified.add(descriptor.digest.toString());
        const kind = how === 'fetched' || how === 'fetched-content' ? 'chunk-done' : 'chunk-reused';
        const zero = how === 'zero' ? { isZero: true } : {};
        this.#session.emit({ kind, subject, index: first + index, bytes: size, ...zero });
      },
      onUnderWay: ({ index, descriptor }, done) => {
        this.#session.emit({ kind: 'chunk-under-way', subject, index: first + index, done, of: descriptor.size });
      },
      onMissing: (chunks) => {
        this.#bytesTotal += encodedBytes(chunks);
        this.#session.emit({ kind: 'replanned', subject, bytesTotal: this.#bytesTotal });
      },
    };
  }
}

/** The same error, with how much of the disk the next try need not fetch. */
export function explainKept(error: unknown, verified: number, total: number): unknown {
  if (!(error instanceof TartletError) || verified === 0) return error;
  return error.with({
    kept: `${verified} of ${total} chunks are verified and kept; the same command continues with the rest`,
  });
}
