import { TartletError } from '../errors.ts';
import type { DiskFile } from '../oci/disk-file.ts';

/**
 * Tart's chunk of a disk since 2.14.0, in bytes. Other sizes work, but chunks of equal size are shared between tools.
 */
export const DISK_CHUNK_BYTES = 512 * 1024 * 1024;

/**
 * A manifest of so many chunks stays below the 4 MiB that every registry takes (distribution spec § pushing manifests).
 */
const MAX_CHUNKS = 9_900;

/** What becomes one chunk. */
export interface Extent {
  readonly offset: number;
  readonly size: number;
}

/**
 * Where to cut a disk into chunks. Without a wish, where the image that it was cloned from is cut: cut elsewhere, not
 * one of its chunks could be used again. What grew beyond that image continues with chunks as long as its first one.
 *
 * @param size bytes of the disk.
 * @param step bytes per chunk as the caller asked for; undefined for the default.
 * @param base the disk of the image that it was cloned from.
 * @throws TartletError `MANIFEST_TOO_LARGE` when there would be more chunks than a manifest can name.
 */
export function cutDisk(size: number, step: number | undefined, base: DiskFile | undefined): Extent[] {
  const like = step === undefined && base !== undefined ? cutLike(base, size) : undefined;
  return like ?? cutEvenly(0, size, step ?? DISK_CHUNK_BYTES) ?? refuse(size);
}

/** @returns undefined when that would be too many. */
function cutLike({ chunks }: DiskFile, size: number): Extent[] | undefined {
  const kept = chunks.filter((chunk) => chunk.offset + chunk.size <= size);
  const end = kept.reduce((sum, chunk) => sum + chunk.size, 0);
  const [first, second] = chunks;
  // The only chunk of a small disk says nothing about how a larger one would be cut.
  const regular = first === undefined || second === undefined ? DISK_CHUNK_BYTES : first.size;
  const rest = cutEvenly(end, size, regular, MAX_CHUNKS - kept.length);
  return rest === undefined
    ? undefined
    : [...kept.map((chunk) => ({ offset: chunk.offset, size: chunk.size })), ...rest];
}

/** The contents of those extents that are chunks of a disk, as texts of their digests. */
export function contentsOf({ chunks }: DiskFile, extents: readonly Extent[]): Map<Extent, string> {
  const at = new Map(chunks.map((chunk) => [chunk.offset, chunk]));
  const contents = new Map<Extent, string>();
  for (const extent of extents) {
    const chunk = at.get(extent.offset);
    if (chunk?.size === extent.size) contents.set(extent, chunk.contentDigest.toString());
  }
  return contents;
}

function cutEvenly(from: number, to: number, step: number, most = MAX_CHUNKS): Extent[] | undefined {
  const count = Math.ceil((to - from) / step);
  if (count > most) return undefined;
  return Array.from({ length: count }, (_, index) => {
    const offset = from + index * step;
    return { offset, size: Math.min(step, to - offset) };
  });
}

function refuse(size: number): never {
  const mebibytes = Math.ceil(size / MAX_CHUNKS / 1024 ** 2);
  throw new TartletError('MANIFEST_TOO_LARGE', `a disk of ${size} bytes would have more than ${MAX_CHUNKS} chunks`, {
    kept: 'nothing was sent',
    next: { kind: 'use-larger-chunks', mebibytes },
  });
}
