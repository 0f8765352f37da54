import type { DiskChunk } from '../../oci/tart-image.ts';
import { TartletError } from '../../errors.ts';
import type { ChunkJob, CopyJob, ResultOf, VerifyJob } from '../../chunks/chunk-job.ts';
import type { DiskFill } from '../fill/disk-fill.ts';
import type { Patience } from '../fill/patience.ts';
import type { SpaceNeeded } from './plan.ts';
import type { PullRoom, RoomTools } from './pull-room.ts';
import type { WorkerPool } from '../../chunks/worker-pool.ts';

/** A job, and the chunks that are done when it is. */
export type Work<J extends ChunkJob> = readonly [job: J, chunks: readonly DiskChunk[]];

/** What parts of a disk are brought with. */
export interface PartTools extends RoomTools {
  /** Default: there is room for everything. */
  readonly room?: PullRoom | undefined;
  /** Who waits for which chunk. Default: none is waited for. */
  readonly fill?: DiskFill | undefined;
  /** What is done about parts that cannot be fetched. Default: the first of them is the end. */
  readonly patience?: Patience | undefined;
  /** So many encoded bytes of a chunk are fetched so far. Default: nothing is told. */
  readonly onUnderWay?: ((chunk: DiskChunk, bytes: number) => void) | undefined;
}

export type OnDone<J extends ChunkJob> = (chunks: readonly DiskChunk[], result: ResultOf<J>) => Promise<void>;

/**
 * Does work on a disk.
 *
 * @returns what was put off, because something has to be deleted for it.
 */
export async function runWork<J extends ChunkJob>(
  pool: WorkerPool,
  work: readonly Work<J>[],
  onDone: OnDone<J>,
  { room, fill, patience }: Pick<PartTools, 'room' | 'fill' | 'patience'> = {},
): Promise<Work<J>[]> {
  const chunksOf = new Map(work);
  const later = await pool.runAll(
    [...chunksOf.keys()],
    async (job, result) => {
      patience?.came(blobOf(job) ?? '');
      await onDone(chunksOf.get(job) ?? [], result);
    },
    {
      again: async (failed, error, tookMs) => {
        const next = patience?.afterPart(blobOf(failed) ?? '', error, tookMs);
        return next && { job: failed, ...next };
      },
      enter:
        room === undefined
          ? undefined
          : async (job, signal) => room.enter({ ...sizeOf(chunksOf.get(job) ?? []), blob: blobOf(job) }, signal),
      urgency: fill && {
        isUrgent: (job) => (chunksOf.get(job) ?? []).some((chunk) => fill.isUrgent(chunk)),
        onChange: (listener) => fill.onChange(listener),
      },
    },
  );
  return later.map((job) => [job, chunksOf.get(job) ?? []]);
}

function blobOf(job: ChunkJob): string | undefined {
  return job.kind === 'unpack' ? job.blob.digest : undefined;
}

/** Zeros become holes, and what does not compress takes at least its blob: so much at least. */
export function sizeOf(chunks: readonly DiskChunk[]): SpaceNeeded {
  return {
    atLeast: chunks.reduce((sum, { size, descriptor }) => sum + Math.min(size, descriptor.size), 0),
    atMost: chunks.reduce((sum, { size }) => sum + size, 0),
  };
}

/**
 * Copies what other disks of this machine hold. Before anything is deleted for it, what was put off is hashed where it
 * is, and what turns out not to be there is checked in the registry with the rest.
 *
 * @param onDone told of what was copied, and of what could not be.
 */
export async function copyParts(
  pool: WorkerPool,
  work: readonly Work<CopyJob>[],
  onDone: OnDone<CopyJob>,
  tools: PartTools,
): Promise<void> {
  const onCopied: OnDone<CopyJob> = async (chunks, result) => {
    if (!result.intact) tools.room?.expect(chunks);
    await onDone(chunks, result);
  };
  const later = await runWork(pool, work, onCopied, tools);
  if (later.length === 0) return;
  const there: Work<CopyJob>[] = [];
  const checks = new Map<VerifyJob, Work<CopyJob>>(later.map((each) => [verifySeedOf(each[0]), each]));
  await pool.runAll([...checks.keys()], (check, { intact }) => {
    const each = checks.get(check);
    if (each === undefined) return;
    if (intact) there.push(each);
    else tools.room?.expect(each[1]);
  });
  await tools.room?.makeCertain(pool, tools);
  await runRest(pool, there, onCopied, tools);
}

/** Does what nothing is in the way of any more. */
export async function runRest<J extends ChunkJob>(
  pool: WorkerPool,
  work: readonly Work<J>[],
  onDone: OnDone<J>,
  tools: PartTools,
): Promise<void> {
  const later = await runWork(pool, work, onDone, tools);
  if (later.length > 0) throw new TartletError('INTERNAL', `${later.length} parts were put off twice`);
}

function verifySeedOf({ seed, from, contentDigest, contentSize }: CopyJob): VerifyJob {
  return { kind: 'verify', disk: seed, offset: from, contentDigest, contentSize };
}
