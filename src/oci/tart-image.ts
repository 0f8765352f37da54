import { TartletError } from '../errors.ts';
import { Digest } from '../names/digest.ts';
import { Annotation, parseAnnotationNumber } from './annotation.ts';
import { type Descriptor, invalid } from './descriptor.ts';
import type { ImageManifest } from './manifest.ts';
import { MediaType } from './media-type.ts';

/** The largest disk we believe in: 16 TiB. */
const MAX_DISK_BYTES = 16 * 1024 ** 4;
/**
 * LZ4 cannot expand by more than 255:1, plus a block header. An annotation beyond it is a lie, found before a byte is fetched.
 * Tighter than a fixed cap per chunk and never wrong: Tart 2.0–2.10 cut chunks by their *encoded* size, so an honest chunk of
 * zeros can decode to many gigabytes (tart-formats §4.6).
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

interface Parts {
  readonly manifest: ImageManifest;
  /** The VM's `config.json`. */
  readonly config: Descriptor;
  readonly nvram: Descriptor;
  readonly base: DiskFile;
  /** When it was pushed, as written by the pusher, unchecked. */
  readonly uploadTime: string | undefined;
}

/** What a manifest means to Tart: one disk, or a base under a pile of ASIF overlays (tart-formats §4.3). */
export type TartImage =
  | (Parts & { readonly layout: 'flat' })
  | (Parts & {
      readonly layout: 'stacked';
      readonly overlays: readonly DiskFile[];
      readonly blockSize: number | undefined;
    });

/**
 * Understands an image manifest as a Tart image, before anything of it is fetched. The order of config and NVRAM is not
 * insisted on (Tart up to 2.35.0 ignored it); everything that decides what ends up on a disk is.
 *
 * @throws TartletError `MEDIA_UNSUPPORTED` for an image of another kind, `MANIFEST_INVALID` for a broken one.
 */
export function parseTartImage(manifest: ImageManifest, name: string): TartImage {
  refuseOtherKinds(manifest, name);
  const config = onlyLayer(manifest, MediaType.tartConfig, 'VM config');
  const nvram = onlyLayer(manifest, MediaType.tartNvram, 'NVRAM');
  const files = manifest.layers.filter((layer) => layer !== config && layer !== nvram);
  const baseEnd = files.findIndex((layer) => layer.mediaType !== MediaType.tartDisk);
  const base = parseFile(files.slice(0, baseEnd < 0 ? files.length : baseEnd), 'disk');
  const parts: Parts = { manifest, config, nvram, base, uploadTime: manifest.annotations.get(Annotation.uploadTime) };
  if (baseEnd < 0) {
    checkDiskSize(manifest, base.size);
    return { ...parts, layout: 'flat' };
  }
  if (base.fileDigest === undefined)
    throw invalid('the base disk', 'of a stacked image has no digest of the whole file');
  const blockSize = parseAnnotationNumber(manifest.annotations.get(Annotation.blockSize));
  return { ...parts, layout: 'stacked', overlays: parseOverlays(files.slice(baseEnd)), blockSize };
}

/** Every chunk of every file, base first: what a pull fetches. */
export function allChunks(image: TartImage): readonly DiskChunk[] {
  return image.layout === 'flat' ? image.base.chunks : [image.base, ...image.overlays].flatMap((file) => file.chunks);
}

/** Bytes that cross the network for a whole image, each blob counted once although its digest may repeat. */
export function transferBytes(image: TartImage): number {
  const blobs = new Map<string, number>();
  for (const descriptor of [image.config, image.nvram, ...allChunks(image).map((chunk) => chunk.descriptor)]) {
    blobs.set(descriptor.digest.toString(), descriptor.size);
  }
  return [...blobs.values()].reduce((sum, size) => sum + size, 0);
}

function refuseOtherKinds(manifest: ImageManifest, name: string): void {
  const types = new Set(manifest.layers.map((layer) => layer.mediaType));
  if (types.has(MediaType.vetuConfig)) {
    throw unsupported(name, 'is a Vetu image', 'use vetu for it');
  }
  if (types.has(MediaType.tartLegacyDisk)) {
    throw unsupported(name, 'has a disk in the format of Tart before 2.0', 'pull it with Tart 2.31 and push it again');
  }
  if (types.has(MediaType.tartConfig) || types.has(MediaType.tartDisk)) {
    const known = new Set<string>([
      MediaType.tartConfig,
      MediaType.tartDisk,
      MediaType.tartOverlay,
      MediaType.tartNvram,
    ]);
    const foreign = [...types].find((type) => !known.has(type));
    // Skipping it could build a disk that lacks a part (reliability C18).
    if (foreign !== undefined)
      throw unsupported(name, `has a layer of unknown type "${foreign.slice(0, 80)}"`, 'a newer Tartlet may know it');
    return;
  }
  const first = [...types][0] ?? manifest.config.mediaType;
  throw unsupported(
    name,
    `is not a VM image: it has ${manifest.layers.length} layers of type "${first.slice(0, 80)}"`,
    'check the name: this looks like a container image or another artifact',
  );
}

function unsupported(name: string, why: string, next: string): TartletError {
  return new TartletError('MEDIA_UNSUPPORTED', `${name} ${why}`, { subject: name, next });
}

function onlyLayer(manifest: ImageManifest, mediaType: string, what: string): Descriptor {
  const [layer, ...more] = manifest.layers.filter((each) => each.mediaType === mediaType);
  if (layer === undefined || more.length > 0)
    throw invalid('layers', `have ${more.length + (layer ? 1 : 0)} of the ${what}, not one`);
  return layer;
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
  return { chunks, size: offset, fileDigest: optionalDigest(layers[0], Annotation.fileDigest, what) };
}

function parseChunk(descriptor: Descriptor, index: number, offset: number, where: string): DiskChunk {
  const size = parseAnnotationNumber(descriptor.annotations.get(Annotation.uncompressedSize));
  if (size === undefined || size === 0) throw invalid(where, `has no usable annotation ${Annotation.uncompressedSize}`);
  if (size > descriptor.size * MAX_EXPANSION)
    throw invalid(where, `claims to decode ${descriptor.size} bytes to ${size}, which LZ4 cannot`);
  const contentDigest = optionalDigest(descriptor, Annotation.contentDigest, where);
  if (contentDigest === undefined) throw invalid(where, `has no annotation ${Annotation.contentDigest}`);
  return { index, descriptor, offset, size, contentDigest };
}

function optionalDigest(descriptor: Descriptor | undefined, key: string, where: string): Digest | undefined {
  const text = descriptor?.annotations.get(key);
  if (text === undefined) return undefined;
  try {
    return Digest.parse(text);
  } catch (cause) {
    throw invalid(where, `has a malformed digest in ${key}`, cause);
  }
}

/** Overlay groups follow each other; the first chunk of each says how many belong to it. */
function parseOverlays(layers: readonly Descriptor[]): DiskFile[] {
  const overlays: DiskFile[] = [];
  let at = 0;
  while (at < layers.length) {
    const where = `overlay ${overlays.length}`;
    const count = parseAnnotationNumber(layers[at]?.annotations.get(Annotation.chunkCount));
    const group = layers.slice(at, at + (count ?? 0));
    if (count === undefined || count === 0 || group.length !== count)
      throw invalid(where, 'does not say how many chunks it has');
    if (group.some((layer) => layer.mediaType !== MediaType.tartOverlay))
      throw invalid(where, 'is mixed with layers of another type');
    const file = parseFile(group, where);
    if (file.fileDigest === undefined) throw invalid(where, 'has no digest of the whole file');
    overlays.push(file);
    at += count;
  }
  return overlays;
}

function checkDiskSize(manifest: ImageManifest, sum: number): void {
  const text = manifest.annotations.get(Annotation.diskSize);
  if (text === undefined) return;
  if (parseAnnotationNumber(text) !== sum) {
    throw invalid(
      `annotations["${Annotation.diskSize}"]`,
      `says "${text.slice(0, 30)}", its chunks add up to ${sum} bytes`,
    );
  }
}
