import { lstat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { ChunkJournal } from '../../home/chunk-journal.ts';
import { shareDisk } from '../../fs/disk/disk-copy.ts';
import { onDisk } from '../../fs/disk-error.ts';
import { EarlyFsync, WORTH_EARLY_FSYNC_BYTES } from '../../fs/disk/early-fsync.ts';
import { sizeDisk } from '../../fs/disk/disk-size.ts';
import { removeEntry } from '../../fs/remove.ts';
import { modeIn, setMode } from '../../fs/sharing.ts';
import type { Digest } from '../../names/digest.ts';
import type { DiskChunk } from '../../oci/tart-image.ts';
import type { ClearJob, CopyJob, FetchJob, VerifyJob } from '../../chunks/chunk-job.ts';
import { beforeCloning, type ClonedSeed, verifySeed } from './cloned-seed.ts';
import { grouped } from '../../chunks/grouped.ts';
import type { PeerOffers } from './peer-offers.ts';
import type { ChunkSource, FilePlan, PlannedChunk } from './plan.ts';
import { fetchParts, type FetchTools } from './fetch-parts.ts';
import { copyParts, type PartTools, runWork, type Work } from './part-work.ts';
import type { WorkerPool } from '../../chunks/worker-pool.ts';

/** Where a disk file is put together. */
export interface DiskTarget {
  readonly path: string;
  readonly journal: ChunkJournal;
}

/** A disk file to put together from what is here and what is in a registry. */
export interface DiskBuild extends DiskTarget, PartTools, Pick<FetchTools, 'pieces' | 'guest' | 'order'> {
  readonly plan: FilePlan;
  /** Who is asked before the registry. Default: none is. */
  readonly offers?: PeerOffers | undefined;
  /**
   * A chunk is verified in its place: fetched just now, or found on this machine. What is known by its content alone,
   * found or continued, or planned as `zero`, proves nothing about the blob that the manifest names for it.
   */
  readonly onChunk: (chunk: DiskChunk, how: 'fetched' | 'fetched-content' | 'found' | 'found-content' | 'zero') => void;
}

type Of<K extends ChunkSource['kind']> = PlannedChunk & { readonly source: Extract<ChunkSource, { kind: K }> };

/**
 * Puts a disk file together as planned: blocks shared with a seed, ranges copied from others, what an earlier pull
 * left, zeros, and the rest fetched. Every chunk is hashed: where it ends up, while it is written, or in the seed whose
 * blocks it shares; what turns out wrong is fetched instead. What is verified is in the journal, for the next try.
 *
 * @throws TartletError of the registry client, `DISK_*`, `CHUNK_CORRUPT`.
 */
export async function buildDisk(pool: WorkerPool, build: DiskBuild): Promise<void> {
  const begun = await begin(build);
  const earlyFsync = build.plan.file.size < WORTH_EARLY_FSYNC_BYTES ? undefined : await EarlyFsync.of(build.path);
  try {
    await fill(pool, build, begun, () => earlyFsync?.check());
  } finally {
    await earlyFsync?.end();
  }
}

/** A disk file as the work on it begins. */
interface BegunDisk {
  /** Whether it is known to hold nothing but zeros. */
  readonly fresh: boolean;
  /** What comes from where after all. */
  readonly chunks: readonly PlannedChunk[];
  /** The seed of its blocks, if it is one that no other process should change now. */
  readonly cloned?: ClonedSeed | undefined;
}

/** @param check throws when there is no point in going on. */
async function fill(
  pool: WorkerPool,
  build: DiskBuild,
  { fresh, chunks, cloned }: BegunDisk,
  check: () => void,
): Promise<void> {
  const { path, journal, fill: waited } = build;
  const found = new Set<DiskChunk>();
  const verified = new Set(
    chunks.flatMap(({ chunk, source }) => ('verified' in source && source.verified ? [chunk] : [])),
  );
  const record = async (those: readonly DiskChunk[], how: (chunk: DiskChunk) => 'found' | 'found-content' | 'zero') => {
    for (const chunk of those) {
      found.add(chunk);
      await journal.record(chunk.index);
      build.onChunk(chunk, how(chunk));
    }
  };
  const find = async (those: readonly DiskChunk[]): Promise<void> =>
    record(those, (chunk) => (verified.has(chunk) ? 'found' : 'found-content'));
  const findZero = async (those: readonly DiskChunk[]): Promise<void> => record(those, () => 'zero');
  const findIntact = async (those: readonly DiskChunk[], { intact }: { intact: boolean }): Promise<void> =>
    intact ? find(those) : undefined;
  const zeros = of(chunks, 'zero');
  if (fresh) await findZero(zeros.map(({ chunk }) => chunk));
  else await runWork(pool, clearWork(path, zeros), findZero);
  await runWork(pool, verifyWork(path, of(chunks, 'partial')), findIntact, { fill: waited });
  const shared = of(chunks, 'shared');
  if (cloned !== undefined) await verifySeed(pool, cloned, new Map(verifyWork(cloned.path, shared)), find);
  const unverified = shared.filter(({ chunk }) => !found.has(chunk));
  await runWork(pool, verifyWork(path, unverified), findIntact, { fill: waited });
  const lost = [...of(chunks, 'partial'), ...shared].flatMap(({ chunk }) => (found.has(chunk) ? [] : [chunk]));
  build.room?.expect(lost);
  await copyParts(pool, copyWork(path, of(chunks, 'copy'), fresh), findIntact, build);
  const damaged = chunks.flatMap(({ chunk, source }) => (source.kind === 'fetch' || found.has(chunk) ? [] : [chunk]));
  if (damaged.length > 0) build.onMissing(damaged);
  // Where a copy failed, the disk is not fresh any more.
  const spoilt = new Set(damaged);
  const missing = chunks.filter(({ chunk }) => !found.has(chunk));
  const work = fetchWork(build, missing, (chunk) => fresh && !spoilt.has(chunk));
  const onFetched = async (
    those: readonly DiskChunk[],
    { verified: isProven }: { verified: boolean },
  ): Promise<void> => {
    check();
    for (const chunk of those) {
      await journal.record(chunk.index);
      build.onChunk(chunk, isProven ? 'fetched' : 'fetched-content');
    }
  };
  const noted = new Map(
    missing.map(({ chunk, source }) => [chunk, source.kind === 'fetch' ? source.pieces : undefined]),
  );
  await fetchParts(pool, work, onFetched, { ...build, notedOf: (chunk) => noted.get(chunk) });
}

/** Makes the file, or continues it. */
async function begin({ path, journal, plan }: DiskBuild): Promise<BegunDisk> {
  await journal.begin();
  const { base } = plan;
  const cloned = base === undefined ? 'gone' : await beforeCloning(base);
  if (base !== undefined && cloned !== 'gone' && (await shareWhole(base.path, path, plan.file.size))) {
    return { fresh: false, chunks: plan.chunks, cloned };
  }
  return { fresh: await sizeDisk(path, plan.file.size), chunks: plan.chunks.map(withoutSharing) };
}

/** The file system decides in the end whether blocks can be shared. */
async function shareWhole(seed: string, path: string, size: number): Promise<boolean> {
  await onDisk('remove', path, async () => removeEntry(path));
  if (!(await shareDisk(seed, path))) return false;
  await onDisk('resize', path, async () => {
    // A seed may be write-protected.
    await setMode(path, await modeIn(dirname(path), ((await lstat(path)).mode & 0o777) | 0o644));
  });
  await sizeDisk(path, size);
  return true;
}

function withoutSharing({ chunk, source }: PlannedChunk): PlannedChunk {
  return source.kind === 'shared'
    ? { chunk, source: { ...source, kind: 'copy', offset: chunk.offset } }
    : { chunk, source };
}

function of<K extends ChunkSource['kind']>(chunks: readonly PlannedChunk[], kind: K): Of<K>[] {
  return chunks.filter((each): each is Of<K> => each.source.kind === kind);
}

/** Whether the whole of a file hashes to this. */
export async function hashesTo(pool: WorkerPool, path: string, size: number, digest: Digest): Promise<boolean> {
  let intact = false;
  await pool.runAll([verifyJob(path, 0, size, digest)], (_, result) => {
    intact = result.intact;
  });
  return intact;
}

function verifyJob(disk: string, offset: number, contentSize: number, digest: Digest): VerifyJob {
  return { kind: 'verify', contentDigest: digest.toString(), contentSize, disk, offset };
}

function verifyWork(disk: string, chunks: readonly PlannedChunk[]): Work<VerifyJob>[] {
  return chunks.map(({ chunk }) => [verifyJob(disk, chunk.offset, chunk.size, chunk.contentDigest), [chunk]]);
}

function clearWork(disk: string, chunks: readonly PlannedChunk[]): Work<ClearJob>[] {
  return chunks.map(({ chunk }) => [{ kind: 'clear', disk, offset: chunk.offset, contentSize: chunk.size }, [chunk]]);
}

/** A content that occurs several times is read once and written everywhere. */
function copyWork(disk: string, chunks: readonly Of<'copy'>[], fresh: boolean): Work<CopyJob>[] {
  const keyOf = ({ chunk, source }: Of<'copy'>): string => `${chunk.contentDigest.toString()} ${source.seed.path}`;
  return grouped(chunks, keyOf).map(([{ chunk, source }, all]) => [
    {
      kind: 'copy',
      seed: source.seed.path,
      from: source.offset,
      contentDigest: chunk.contentDigest.toString(),
      contentSize: chunk.size,
      disk,
      offsets: all.map((each) => each.chunk.offset),
      fresh,
    },
    all.map((each) => each.chunk),
  ]);
}

/**
 * A blob that occurs several times is fetched once and written everywhere (reliability C21). Only one with a single
 * place is continued after a crash: of the others no step would hash what lies at the further places.
 */
function fetchWork(
  { path, journal, offers }: Pick<DiskBuild, 'path' | 'journal' | 'offers'>,
  chunks: readonly PlannedChunk[],
  isFresh: (chunk: DiskChunk) => boolean,
): Work<FetchJob>[] {
  return grouped(chunks, ({ chunk }) => chunk.descriptor.digest.toString()).map(([{ chunk, source }, all]) => [
    {
      kind: 'fetch',
      blob: { digest: chunk.descriptor.digest.toString(), size: chunk.descriptor.size },
      contentDigest: chunk.contentDigest.toString(),
      contentSize: chunk.size,
      disk: path,
      offsets: all.map((each) => each.chunk.offset),
      fresh: all.every((each) => isFresh(each.chunk)),
      peers: offers?.peersFor(chunk.contentDigest.toString()),
      ...(all.length > 1
        ? {}
        : {
            resume: source.kind === 'fetch' ? source.resume : undefined,
            mark: { journal: journal.path, index: chunk.index },
          }),
    },
    all.map((each) => each.chunk),
  ]);
}
