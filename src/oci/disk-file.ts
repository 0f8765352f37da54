import type { Digest } from '../names/digest.ts';
import { Annotation, parseAnnotationNumber } from './annotation.ts';
import { type Descriptor, invalid, parseDigest } from './descriptor.ts';
import { MediaType } from './media-type.ts';
import { shown } from './shown.ts';

/** The largest disk we believe in: 16 TiB. */
const MAX_DISK_BYTES = 16 * 1024 ** 4;
/**
 * LZ4 cannot expand by more than 255:1, plus a block header. An annotation beyond it is a lie, found before a byte is
 * fetched. Tighter than a fixed cap per chunk and never wrong: Tart 2.0–2.10 cut chunks by their *encoded* size, so an
 * honest chunk of zeros can decode to many gigabytes (tart-formats §4.6).
 */
const MAX_EXPANSION = 256;

/** A piece of a disk that decodes on its own: one blob, one place. */
export interface DiskChunk {
  /** Position among the chunks of its file, from 0. */
  readonly index: number;
  readonly descriptor: Descriptor;
  /** Where its bytes belong in the decoded file. */
  readonly offset: number;
  /** Bytes after decoding, at least 1. */
  readonly size: number;
  /** Digest of the decoded bytes. */
  readonly contentDigest: Digest;
}

/** One file that is rebuilt from chunks: the base disk, or an overlay on it. */
export interface DiskFile {
  readonly chunks: readonly DiskChunk[];
  /** Bytes of the whole file. */
  readonly size: number;
  /** Digest of the whole file; always known for stacked images. */
  readonly fileDigest: Digest | undefined;
}

/** A file with the digest that the content store knows it by. */
export type StoredDiskFile = DiskFile & { readonly fileDigest: Digest };

/** Whether two disks are cut at the same places into the same blobs of the same contents. */
export function haveSameChunks(one: DiskFile, other: DiskFile): boolean {
  return (
    one.chunks.length === other.chunks.length &&
    one.chunks.every(({ offset, contentDigest, descriptor }, index) => {
      const like = other.chunks[index];
      return (
        like?.offset === offset &&
        like.contentDigest.equals(contentDigest) &&
        like.descriptor.digest.equals(descriptor.digest)
      );
    })
  );
}

/**
 * The base disk: all its chunks, in order.
 * @throws TartletError `MANIFEST_INVALID` that names the chunk and the annotation.
 */
export function parseBaseDisk(layers: readonly Descriptor[]): DiskFile {
  if (layers[0]?.annotations.has(Annotation.chunkCount) === true) {
    throw invalid('disk chunk 0', `has the annotation ${Annotation.chunkCount}, which only overlays have`);
  }
  return parseFile(layers, 'disk');
}

/**
 * Overlay groups follow each other, bottom to top; the first chunk of each says how many belong to it (tart-formats
 * §4.3).
 * @throws TartletError `MANIFEST_INVALID` that names the overlay.
 */
export function parseOverlays(layers: readonly Descriptor[]): StoredDiskFile[] {
  if (layers.some((layer) => layer.mediaType !== MediaType.tartOverlay)) {
    throw invalid('layers', `have one of type "${MediaType.tartDisk}" above an overlay`);
  }
  const overlays: StoredDiskFile[] = [];
  let at = 0;
  while (at < layers.length) {
    const where = `overlay ${overlays.length}`;
    const count = groupSize(layers[at], layers.length - at, where);
    overlays.push(requireFileDigest(parseFile(layers.slice(at, at + count), where), where));
    at += count;
  }
  return overlays;
}

/** @throws TartletError `MANIFEST_INVALID` when the manifest does not say what the whole file must hash to. */
export function requireFileDigest(file: DiskFile, where: string): StoredDiskFile {
  if (file.fileDigest === undefined) throw invalid(where, `has no annotation ${Annotation.fileDigest}`);
  return { ...file, fileDigest: file.fileDigest };
}

function groupSize(first: Descriptor | undefined, left: number, where: string): number {
  const text = first?.annotations.get(Annotation.chunkCount);
  const count = parseAnnotationNumber(text);
  if (count === undefined || count === 0) throw invalid(where, unusable(text, Annotation.chunkCount));
  if (count > left) throw invalid(where, `says it has ${count} chunks, ${left} are left`);
  return count;
}

function parseFile(layers: readonly Descriptor[], what: string): DiskFile {
  if (layers.length === 0) throw invalid('layers', `have no chunk of the ${what}`);
  const chunks: DiskChunk[] = [];
  let offset = 0;
  for (const [index, descriptor] of layers.entries()) {
    const chunk = parseChunk(descriptor, index, offset, `${what} chunk ${index}`);
    chunks.push(chunk);
    offset += chunk.size;
    if (offset > MAX_DISK_BYTES) throw invalid(`the ${what}`, 'is larger than 16 TiB');
  }
  return { chunks, size: offset, fileDigest: optionalDigest(layers[0], Annotation.fileDigest, `${what} chunk 0`) };
}

function parseChunk(descriptor: Descriptor, index: number, offset: number, where: string): DiskChunk {
  const text = descriptor.annotations.get(Annotation.uncompressedSize);
  const size = parseAnnotationNumber(text);
  if (size === undefined || size === 0) throw invalid(where, unusable(text, Annotation.uncompressedSize));
  if (size > descriptor.size * MAX_EXPANSION) {
    throw invalid(where, `claims to decode ${descriptor.size} bytes to ${size}, which LZ4 cannot`);
  }
  const contentDigest = optionalDigest(descriptor, Annotation.contentDigest, where);
  if (contentDigest === undefined) throw invalid(where, `has no annotation ${Annotation.contentDigest}`);
  // They mark where a file starts: in the middle of one they would move its end (tart-formats §4.3, rules 4 and 6).
  const misplaced = [Annotation.fileDigest, Annotation.chunkCount].find((key) => descriptor.annotations.has(key));
  if (index > 0 && misplaced !== undefined) {
    throw invalid(where, `has the annotation ${misplaced}, which belongs to the first chunk of a file`);
  }
  return { index, descriptor, offset, size, contentDigest };
}

function optionalDigest(descriptor: Descriptor | undefined, key: string, where: string): Digest | undefined {
  const text = descriptor?.annotations.get(key);
  return text === undefined ? undefined : parseDigest(text, `${where}: ${key}`);
}

function unusable(text: string | undefined, key: string): string {
  return text === undefined
    ? `has no annotation ${key}`
    : `has the annotation ${key} "${shown(text, 40)}", not a usable number`;
}
