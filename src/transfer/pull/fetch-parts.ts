import type { FetchJob, PiecesJob, ResultOf, UnpackJob } from '../../chunks/chunk-job.ts';
import type { Again } from '../../chunks/urgency/job-queue.ts';
import type { WorkerPool } from '../../chunks/worker-pool.ts';
import { isTartletError, TartletError } from '../../errors.ts';
import type { ChunkJournal } from '../../home/chunk-journal.ts';
import type { DiskChunk } from '../../oci/tart-image.ts';
import { type FetchQueueOptions, FetchQueue, type FillJob } from '../fill/fetch-queue.ts';
import { LayerFetch } from '../fill/layer-fetch.ts';
import type { Patience } from '../fill/patience.ts';
import { continued } from './continued-job.ts';
import { type PartTools, runRest, sizeOf, type Work } from './part-work.ts';
import type { SpaceNeeded } from './plan.ts';
import type { PullRoom } from './pull-room.ts';

/** What layers are fetched with. */
export interface FetchTools extends PartTools, Pick<FetchQueueOptions, 'pieces' | 'guest' | 'order'> {
  readonly journal: ChunkJournal;
  /** Pieces of a chunk that an earlier pull says to have written. */
  readonly notedOf: (chunk: DiskChunk) => ReadonlySet<number> | undefined;
}

/**
 * Fetches blobs to where they belong. Those for which something has to be deleted come last, after all that is still to
 * come was checked: from where they were kept, or again.
 *
 * @param onDone told of a blob that is in its places. `verified`: all of it was hashed as it came.
 */
export async function fetchParts(
  pool: WorkerPool,
  work: readonly Work<FetchJob>[],
  onDone: (chunks: readonly DiskChunk[], result: { readonly verified: boolean }) => Promise<void>,
  tools: FetchTools,
): Promise<void> {
  const { room, fill, journal, pieces, guest, order, onUnderWay } = tools;
  const layers = work.map(([job, chunks]) => {
    const [chunk] = chunks;
    return new LayerFetch(job, chunks, chunk && tools.notedOf(chunk));
  });
  const tell = ({ chunks: [chunk] }: LayerFetch, bytes: number): void => {
    if (chunk !== undefined) onUnderWay?.(chunk, bytes);
  };
  const queue = new FetchQueue(layers, {
    fill,
    journal,
    pieces,
    guest,
    order,
    onUnderWay: tell,
    onFetched: async ({ job, chunks }, result) => {
      room?.blobs.begin(job.blob.digest);
      await onDone(chunks, result);
    },
    onStopped: ({ chunks }) => room?.expect(chunks),
  });
  try {
    await queue.begin();
    await bring(pool, queue, tools, tell);
    if (room === undefined || queue.later.length === 0) return;
    await room.makeCertain(pool, tools);
    queue.goOn(await unpackKept(pool, queue.later, onDone, { ...tools, room }));
    await bring(pool, queue, tools, tell);
    if (queue.later.length > 0) throw new TartletError('INTERNAL', `${queue.later.length} parts were put off twice`);
  } finally {
    queue.end();
  }
}

async function bring(
  pool: WorkerPool,
  queue: FetchQueue,
  { room, patience }: Pick<FetchTools, 'room' | 'patience'>,
  tell: (layer: LayerFetch, bytes: number) => void,
): Promise<void> {
  const came = async (job: FillJob, result: ResultOf<FillJob>): Promise<void> => {
    if (job.kind !== 'verify') patience?.came(job.blob.digest);
    await queue.done(job, result);
  };
  await pool.runAll<FillJob>(queue, came, {
    urgency: queue,
    again: patience && (async (job, error, tookMs) => again(queue, patience, { job, error, tookMs })),
    enter: room && (async (job, signal) => enter(queue, room, job, signal)),
    survives: (job) => queue.failed(job),
    onBegun: (job, stop) => queue.begun(job, stop),
    onPiece: (job, number) => {
      if (job.kind === 'pieces') patience?.came(partOf(job, number));
      queue.piece(job, number);
    },
    onMoved: (job, { bytes }) => {
      const layer = job.kind === 'fetch' ? queue.layerOf(job) : undefined;
      if (job.kind !== 'fetch' || layer === undefined) return;
      tell(layer, Math.min((job.resume?.encoded ?? 0) + bytes, job.blob.size));
    },
  });
}

/** What failed is tried again: a piece that is wrong by itself, so that those beside it do not wait for it. */
async function again(
  queue: FetchQueue,
  patience: Patience,
  { job, error, tookMs }: { readonly job: FillJob; readonly error: unknown; readonly tookMs: number },
): Promise<Again<FillJob> | undefined> {
  if (job.kind === 'verify' || queue.isStopped(job)) return undefined;
  const isWrong = isTartletError(error, 'DIGEST_MISMATCH', 'SIZE_MISMATCH');
  const wrong = job.kind === 'pieces' && isWrong ? queue.missingOf(job)[0] : undefined;
  const part = job.kind === 'pieces' && wrong !== undefined ? partOf(job, wrong) : job.blob.digest;
  const next = patience.afterPart(part, error, tookMs);
  if (next === undefined) return undefined;
  if (job.kind === 'fetch') return { job: queue.retryWhole(job, await continued(job, error)), ...next };
  return { job: queue.retryPieces(job, wrong), ...next };
}

function partOf({ blob }: PiecesJob, piece: number): string {
  return `${blob.digest} ${piece}`;
}

async function enter(
  queue: FetchQueue,
  room: PullRoom,
  job: FillJob,
  signal: AbortSignal,
): Promise<(() => void) | 'later'> {
  if (job.kind === 'verify') return () => undefined;
  // A blob of which pieces came is still to come, until it is whole.
  const part =
    job.kind === 'fetch'
      ? { ...sizeOf(queue.layerOf(job)?.chunks ?? []), blob: job.blob.digest }
      : { ...sizeOfPieces(job), blob: undefined };
  const end = await room.enter(part, signal);
  if (end === 'later') queue.putOff(job);
  return end;
}

function sizeOfPieces({ pieces, offsets }: PiecesJob): SpaceNeeded {
  const data = pieces.filter(({ isZero }) => !isZero);
  return {
    atLeast: data.reduce((sum, { size, from, to }) => sum + Math.min(size, to - from), 0),
    atMost: data.reduce((sum, { size }) => sum + size * offsets.length, 0),
  };
}

/** @returns layers of which the blob was kept when it was checked: they are in their places now. */
async function unpackKept(
  pool: WorkerPool,
  layers: readonly LayerFetch[],
  onDone: (chunks: readonly DiskChunk[], result: { readonly verified: boolean }) => Promise<void>,
  tools: FetchTools & { readonly room: PullRoom },
): Promise<readonly LayerFetch[]> {
  const { blobs } = tools.room;
  const kept: LayerFetch[] = [];
  const work: Work<UnpackJob>[] = [];
  for (const layer of layers) {
    const { resume: _, mark: __, ...job } = layer.job;
    const source = blobs.keptAs(job.blob.digest);
    if (source === undefined) continue;
    kept.push(layer);
    work.push([{ ...job, kind: 'unpack', source, fresh: layer.isFresh }, layer.chunks]);
  }
  const names = new Map(work.map(([job, chunks]) => [chunks, job.blob.digest]));
  const onUnpacked = async (chunks: readonly DiskChunk[]): Promise<void> => {
    await onDone(chunks, { verified: true });
    await blobs.drop(names.get(chunks) ?? '');
  };
  await runRest(pool, work, onUnpacked, tools);
  return kept;
}
