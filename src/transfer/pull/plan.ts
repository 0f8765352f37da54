import type { StreamPosition } from '../../codec/chunk-decoder.ts';
import type { DiskFile } from '../../oci/disk-file.ts';
import { PIECE_BYTES } from '../../oci/piece-index.ts';
import type { DiskChunk, TartImage } from '../../oci/tart-image.ts';
import type { Seed, PlanSummary } from '../../session/plan-summary.ts';

/** Where on this machine a content should be. */
export interface ChunkLocation {
  readonly seed: Seed;
  /** One or more. */
  readonly offsets: ReadonlySet<number>;
  /** The blob that was decoded to it, as text of its digest; undefined when that is not known. */
  readonly blob: string | undefined;
}

/** What a chunk of a disk comes from. Only `zero` is certain: the rest is hashed before it counts. */
export type ChunkSource =
  /** Zeros, by its digest. */
  | { readonly kind: 'zero' }
  /** An earlier pull left it in its place. */
  | { readonly kind: 'partial' }
  /** It is in its place when the whole seed is cloned. */
  | { readonly kind: 'shared'; readonly seed: Seed; readonly verified: boolean }
  | {
      readonly kind: 'copy';
      readonly seed: Seed;
      readonly offset: number;
      /**
       * Whether the content is known to be what the chunk's blob decodes to, and not only what the manifest says of it.
       */
      readonly verified: boolean;
    }
  | {
      readonly kind: 'fetch';
      /** How far an earlier pull says that it came with it. */
      readonly resume?: StreamPosition | undefined;
      /** Numbers of its pieces that an earlier pull says to have written. */
      readonly pieces?: ReadonlySet<number> | undefined;
    };

export interface PlannedChunk {
  readonly chunk: DiskChunk;
  readonly source: ChunkSource;
}

/** How one file comes about. */
export interface FilePlan {
  readonly file: DiskFile;
  readonly chunks: readonly PlannedChunk[];
  /** The seed whose blocks the file shares to begin with. */
  readonly base: Seed | undefined;
}

/** What is known of this machine when a file is planned. */
export interface LocalState {
  /** Contents that are all zeros, as texts of their digests. */
  readonly zeros: ReadonlySet<string>;
  /** Indices of chunks that an earlier pull says are in their place. */
  readonly partial: ReadonlySet<number>;
  /** How far it came with others, by their indices. */
  readonly underWay: ReadonlyMap<number, StreamPosition>;
  /** Pieces that it says to have written, by the indices of their chunks. */
  readonly pieces: ReadonlyMap<number, ReadonlySet<number>>;
  /** Whether an earlier pull began the file: then it is continued, and not replaced by a clone of a seed. */
  readonly isBegun: boolean;
  /** Where contents should be, by the text of their digest. */
  readonly places: ReadonlyMap<string, ChunkLocation>;
  /** Whether two files can share blocks here. */
  readonly canShare: boolean;
}

/**
 * To clone a whole seed pays only when it gives more than this part of what is not zero: the rest is overwritten, and
 * what must become zero is written with zeros, because Node cannot punch holes.
 */
const WORTHWHILE_SHARE = 0.5;

/** Decides for each chunk where it comes from, the cheapest first. */
export function planFile(file: DiskFile, here: LocalState): FilePlan {
  const { chunks } = file;
  const base = here.canShare && !here.isBegun ? bestBase(chunks, here) : undefined;
  return { file, base, chunks: chunks.map((chunk) => ({ chunk, source: sourceOf(chunk, base, here) })) };
}

function sourceOf(chunk: DiskChunk, base: Seed | undefined, here: LocalState): ChunkSource {
  if (here.partial.has(chunk.index)) return { kind: 'partial' };
  const content = chunk.contentDigest.toString();
  const place = here.places.get(content);
  const isInPlace = place?.offsets.has(chunk.offset) === true;
  const verified = place?.blob === chunk.descriptor.digest.toString();
  if (base !== undefined && place?.seed === base && isInPlace) return { kind: 'shared', seed: base, verified };
  if (here.zeros.has(content)) return { kind: 'zero' };
  const [first] = place?.offsets ?? [];
  if (place === undefined || first === undefined) {
    return { kind: 'fetch', resume: here.underWay.get(chunk.index), pieces: here.pieces.get(chunk.index) };
  }
  return { kind: 'copy', seed: place.seed, offset: isInPlace ? chunk.offset : first, verified };
}

/** The seed that has the most bytes where they belong, if it has enough of them. */
function bestBase(chunks: readonly DiskChunk[], { places, zeros }: LocalState): Seed | undefined {
  let size = 0;
  const inPlace = new Map<Seed, number>();
  for (const chunk of chunks) {
    const content = chunk.contentDigest.toString();
    if (!zeros.has(content)) size += chunk.size;
    const place = places.get(content);
    if (place?.offsets.has(chunk.offset) === true) {
      inPlace.set(place.seed, (inPlace.get(place.seed) ?? 0) + chunk.size);
    }
  }
  const [best] = [...inPlace].sort(([, a], [, b]) => b - a);
  return best !== undefined && best[1] > size * WORTHWHILE_SHARE ? best[0] : undefined;
}

/** How a pull brings an image: what is known before the first byte moves. */
export interface PullPlan {
  readonly image: TartImage;
  /** The files to build: the disk of a flat image, those of a stacked one that the content store lacks. */
  readonly files: readonly FilePlan[];
  /** Bytes of files that the content store has. */
  readonly storedBytes: number;
  /** Bytes of VM config and NVRAM to fetch. */
  readonly vmFileBytes: number;
}

export function summarize(plan: PullPlan): PlanSummary {
  const chunks = plannedChunks(plan);
  const of = (...kinds: ChunkSource['kind'][]): PlannedChunk[] =>
    chunks.filter(({ source }) => kinds.includes(source.kind));
  return {
    fetchBytes: plan.vmFileBytes + encodedBytes(of('fetch').map(({ chunk }) => chunk)) - resumedBytes(chunks),
    diskBytes: plan.storedBytes + decodedBytes(chunks),
    reused: bySeed(chunks),
    zeroBytes: decodedBytes(of('zero')),
    partialBytes: decodedBytes(of('partial')),
    storedBytes: plan.storedBytes,
    chunks: {
      fetch: of('fetch').length,
      reuse: of('copy', 'shared').length,
      zero: of('zero').length,
      partial: of('partial').length,
    },
  };
}

/** How much of the disk a pull takes, in bytes. */
export interface SpaceNeeded {
  /** Without so much it cannot end well: what LZ4 saves, a sparse file may save, too, but not more. */
  readonly atLeast: number;
  /** With so much it will: everything decoded, no holes in it. */
  readonly atMost: number;
}

/**
 * What a plan needs beyond what is on the disk already. Zeros, what an earlier pull left and shared blocks need
 * nothing.
 */
export function spaceNeeded(plan: PullPlan): SpaceNeeded {
  const taking = plannedChunks(plan).filter(({ source }) => source.kind === 'fetch' || source.kind === 'copy');
  const encoded = taking.reduce((sum, { chunk, source }) => {
    const { decoded, encoded: came } = cameOf(chunk, source);
    return sum + Math.min(chunk.size - decoded, chunk.descriptor.size - came);
  }, 0);
  return { atLeast: plan.vmFileBytes + encoded, atMost: plan.vmFileBytes + decodedBytes(taking) };
}

/** What a plan fetches. */
export function chunksToFetch(plan: PullPlan): DiskChunk[] {
  return plannedChunks(plan).flatMap(({ chunk, source }) => (source.kind === 'fetch' ? [chunk] : []));
}

/** Bytes that cross the network for these chunks: a blob that occurs several times counts once. */
export function encodedBytes(chunks: readonly DiskChunk[]): number {
  const blobs = new Map(chunks.map(({ descriptor }) => [descriptor.digest.toString(), descriptor.size]));
  return [...blobs.values()].reduce((sum, size) => sum + size, 0);
}

const NOTHING: StreamPosition = { encoded: 0, decoded: 0 };

/** What an earlier pull fetched of a chunk; of pieces, about so much. */
function cameOf({ size, descriptor }: DiskChunk, source: ChunkSource): StreamPosition {
  if (source.kind !== 'fetch') return NOTHING;
  const resume = source.resume ?? NOTHING;
  const decoded = Math.min(size, (source.pieces?.size ?? 0) * PIECE_BYTES);
  if (decoded <= resume.decoded) return resume;
  return { decoded, encoded: Math.floor(descriptor.size * (decoded / size)) };
}

/** Bytes that an earlier pull fetched of chunks that it did not finish. */
function resumedBytes(chunks: readonly PlannedChunk[]): number {
  return chunks.reduce((sum, { chunk, source }) => sum + cameOf(chunk, source).encoded, 0);
}

function plannedChunks(plan: PullPlan): PlannedChunk[] {
  return plan.files.flatMap((file) => file.chunks);
}

function decodedBytes(chunks: readonly PlannedChunk[]): number {
  return chunks.reduce((sum, { chunk }) => sum + chunk.size, 0);
}

function bySeed(chunks: readonly PlannedChunk[]): PlanSummary['reused'] {
  const reused = new Map<Seed, { seed: Seed; bytes: number; chunks: number }>();
  for (const { chunk, source } of chunks) {
    if (source.kind !== 'copy' && source.kind !== 'shared') continue;
    const { seed } = source;
    const sum = reused.get(seed) ?? { seed, bytes: 0, chunks: 0 };
    reused.set(seed, { seed, bytes: sum.bytes + chunk.size, chunks: sum.chunks + 1 });
  }
  return [...reused.values()].sort((a, b) => b.bytes - a.bytes);
}
