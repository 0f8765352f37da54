import { chunksWithin } from '../transfer/fill/chunks-within.ts';
import { PIECE_BYTES } from '../oci/piece-index.ts';
import type { DiskChunk } from '../oci/tart-image.ts';
import type { MeasuredRate } from './rate-meter.ts';

const MIB = 1024 ** 2;

/**
 * How much of a disk's data a Debian guest has touched when SSH answers, by the size of the unit that is fetched at
 * once: a boot was measured, of 8 GiB of disk with 3.2 GB of data (docs/guide/on-demand.md). An aged file system
 * scatters more.
 */
const MEASURED_SHARES: readonly (readonly [unitBytes: number, share: number])[] = [
  [MIB, 0.051],
  [4 * MIB, 0.087],
  [16 * MIB, 0.148],
  [32 * MIB, 0.18],
  [64 * MIB, 0.243],
  [128 * MIB, 0.327],
  [512 * MIB, 0.497],
];

/**
 * Most bytes of a part of the disk that a guest may wait for as a whole however slow the network is: of larger ones,
 * half of an image is fetched before a guest has started.
 */
const MOST_PART_BYTES = 32 * MIB;
/** A part that comes within so many seconds is no wait, whatever its size. */
const MOST_WAIT_SECONDS = 2;
/** To wait so many seconds for all of an image is simpler than to begin before. */
const QUICK_SECONDS = 3;
/** Where the start needs so much of an image, little is gained by not waiting for the rest. */
const MOST_SHARE = 0.75;

/** What of an image a guest needs to start, in bytes as the registry has them. */
export interface StartEstimate {
  /** About so many: as measured for a guest of Linux, or as an earlier start was recorded. */
  readonly startBytes: number;
  /** Of all of the disk: each blob once, and no zeros. */
  readonly wholeBytes: number;
  /** Of the largest part that is fetched at once: the longest that a single read waits. */
  readonly partBytes: number;
  /** Bytes of such a part on the disk. */
  readonly partDiskBytes: number;
  /** How fast it comes, where that is known. */
  readonly bytesPerSecond: number | undefined;
}

/** What is known of a disk. */
export interface DiskFacts {
  readonly chunks: readonly DiskChunk[];
  /** Contents that are nothing but zeros, as texts of their digests: they are not fetched. */
  readonly zeros: ReadonlySet<string>;
  /** What is fetched at once: the chunk, or a piece of 1 MiB of it. */
  readonly unit: 'chunk' | 'piece';
  /** Numbers of MiB of the disk, in the order in which an earlier start touched them. */
  readonly order?: readonly number[] | undefined;
}

/** What the start of a guest needs, without a rate. */
export function estimateStart(facts: DiskFacts): StartEstimate {
  const blobs = new Map<string, DiskChunk>();
  for (const chunk of facts.chunks) {
    if (!facts.zeros.has(chunk.contentDigest.toString())) blobs.set(chunk.descriptor.digest.toString(), chunk);
  }
  const fetched = [...blobs.values()];
  const parts = fetched.map((chunk) => partOf(chunk, facts.unit));
  const wholeBytes = sum(fetched.map(({ descriptor }) => descriptor.size));
  const startBytes = facts.order === undefined ? byShares(fetched, parts) : byOrder(facts, facts.order);
  return {
    startBytes: Math.min(wholeBytes, Math.round(startBytes)),
    wholeBytes,
    partBytes: Math.round(Math.max(0, ...parts.map(({ bytes }) => bytes))),
    partDiskBytes: Math.max(0, ...parts.map(({ diskBytes }) => diskBytes)),
    bytesPerSecond: undefined,
  };
}

interface Part {
  readonly bytes: number;
  readonly diskBytes: number;
}

function partOf({ descriptor, size }: DiskChunk, unit: DiskFacts['unit']): Part {
  const diskBytes = unit === 'chunk' ? size : Math.min(size, PIECE_BYTES);
  return { bytes: (descriptor.size * diskBytes) / size, diskBytes };
}

/** The first part is always read, for the partition table; of the others, as many as were measured. */
function byShares(fetched: readonly DiskChunk[], parts: readonly Part[]): number {
  const first = parts[0]?.bytes ?? 0;
  const touched = fetched.map(({ descriptor }, at) => {
    const rest = at === 0 ? descriptor.size - first : descriptor.size;
    return rest * shareOf(parts[at]?.diskBytes ?? 0);
  });
  return first + sum(touched);
}

/** What an earlier start has touched. */
function byOrder({ chunks, zeros, unit }: DiskFacts, order: readonly number[]): number {
  const blobs = new Set<string>();
  let bytes = 0;
  for (const number of new Set(order)) {
    for (const chunk of chunksWithin(chunks, { offset: number * MIB, length: MIB })) {
      const blob = chunk.descriptor.digest.toString();
      if (zeros.has(chunk.contentDigest.toString()) || (unit === 'chunk' && blobs.has(blob))) continue;
      blobs.add(blob);
      bytes += partOf(chunk, unit).bytes;
    }
  }
  return bytes;
}

/**
 * The part of the data that a start touches, for units of so many bytes of the disk; between two that were measured,
 * along a straight line over the logarithm of the size.
 */
function shareOf(unitBytes: number): number {
  let [below, share] = MEASURED_SHARES[0] ?? [MIB, 0];
  for (const [size, measured] of MEASURED_SHARES) {
    if (unitBytes <= size) {
      if (unitBytes <= below) return share;
      return share + (measured - share) * (Math.log(unitBytes / below) / Math.log(size / below));
    }
    [below, share] = [size, measured];
  }
  return share;
}

/** An estimate for what is left of an image, with the rate at which it comes. */
export function withRate(estimate: StartEstimate, { bytesPerSecond, leftBytes }: MeasuredRate): StartEstimate {
  const left = Math.min(leftBytes ?? estimate.wholeBytes, estimate.wholeBytes);
  const part = estimate.wholeBytes === 0 ? 1 : left / estimate.wholeBytes;
  return { ...estimate, startBytes: Math.round(estimate.startBytes * part), wholeBytes: left, bytesPerSecond };
}

/** Why to begin before the disk is here is not worth it. */
export type LittleGain =
  /** A guest would wait long for each part, and half of the image comes before it has started. */
  | 'parts-too-large'
  /** All of it is here in a few seconds. */
  | 'whole-is-quick'
  /** The start needs nearly all of it. */
  | 'start-needs-most';

/** @returns undefined where it is worth it. */
export function littleGainOf(estimate: StartEstimate): LittleGain | undefined {
  const { startBytes, wholeBytes, partBytes, partDiskBytes, bytesPerSecond } = estimate;
  if (bytesPerSecond === undefined) return partDiskBytes > MOST_PART_BYTES ? 'parts-too-large' : undefined;
  if (wholeBytes <= bytesPerSecond * QUICK_SECONDS) return 'whole-is-quick';
  if (partDiskBytes > MOST_PART_BYTES && partBytes > bytesPerSecond * MOST_WAIT_SECONDS) return 'parts-too-large';
  return startBytes >= wholeBytes * MOST_SHARE ? 'start-needs-most' : undefined;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
