import { TartletError } from '../errors.ts';
import { Digest } from '../names/digest.ts';
import type { Hint } from '../hint.ts';
import { Annotation, parseAnnotationNumber } from './annotation.ts';
import { type BlobIdentity, type Descriptor, invalid } from './descriptor.ts';
import {
  type DiskChunk,
  type DiskFile,
  parseBaseDisk,
  parseOverlays,
  requireFileDigest,
  type StoredDiskFile,
} from './disk-file.ts';
import { type ImageManifest, MAX_MANIFEST_BYTES } from './manifest.ts';
import { MediaType } from './media-type.ts';
import { largestPieceIndex } from './piece-index.ts';
import { shown } from './shown.ts';

export type { DiskChunk, StoredDiskFile } from './disk-file.ts';

const TART_LAYERS = new Set<string>([
  MediaType.tartConfig,
  MediaType.tartDisk,
  MediaType.tartOverlay,
  MediaType.tartNvram,
]);

interface Parts {
  readonly manifest: ImageManifest;
  /** The VM's `config.json`, at most 16 MiB. */
  readonly config: Descriptor;
  readonly nvram: Descriptor;
  readonly base: DiskFile;
  /** When it was pushed, as written by the pusher, unchecked. */
  readonly uploadTime: string | undefined;
}

/** An image whose disk is one file. */
export type FlatImage = Parts & {
  readonly layout: 'flat';
  /** The blob with the piece index of the disk, where the manifest names one that can be one. */
  readonly pieces: BlobIdentity | undefined;
};

/** A base disk under a pile of ASIF overlays. */
export type StackedImage = Parts & {
  readonly layout: 'stacked';
  readonly base: StoredDiskFile;
  /** Bottom to top. */
  readonly overlays: readonly StoredDiskFile[];
  /** Bytes per block of the guest's disk. */
  readonly blockSize: number | undefined;
  /** Bytes of the disk as the guest sees it. */
  readonly guestDiskBytes: number | undefined;
};

/** What a manifest means to Tart (tart-formats §4.3). */
export type TartImage = FlatImage | StackedImage;

/**
 * Understands an image manifest as a Tart image, before anything of it is fetched. The order of config and NVRAM is not
 * insisted on (Tart up to 2.35.0 ignored it); everything that decides what ends up on a disk is.
 *
 * @param name what the user calls the image, for the message.
 * @throws TartletError `MEDIA_UNSUPPORTED` for an image of another kind, `MANIFEST_INVALID` for a broken one,
 *   `MANIFEST_TOO_LARGE` when the VM config cannot be one.
 */
export function parseTartImage(manifest: ImageManifest, name: string): TartImage {
  refuseOtherKinds(manifest, name);
  const config = onlyLayer(manifest, MediaType.tartConfig, 'VM config');
  const nvram = onlyLayer(manifest, MediaType.tartNvram, 'NVRAM');
  if (config.size > MAX_MANIFEST_BYTES) {
    throw new TartletError(
      'MANIFEST_TOO_LARGE',
      `the VM config of ${name} has ${config.size} bytes, the limit is ${MAX_MANIFEST_BYTES}`,
      { subject: name },
    );
  }
  const files = manifest.layers.filter((layer) => layer !== config && layer !== nvram);
  const firstOverlay = files.findIndex((layer) => layer.mediaType !== MediaType.tartDisk);
  const base = parseBaseDisk(files.slice(0, firstOverlay < 0 ? files.length : firstOverlay));
  const parts: Parts = { manifest, config, nvram, base, uploadTime: manifest.annotations.get(Annotation.uploadTime) };
  const blockSize = checkDiskSize(manifest, firstOverlay < 0 ? base.size : undefined);
  const image: TartImage =
    firstOverlay < 0
      ? { ...parts, layout: 'flat', pieces: piecesOf(manifest, base) }
      : {
          ...parts,
          layout: 'stacked',
          base: requireFileDigest(base, 'the base disk of a stacked image'),
          overlays: parseOverlays(files.slice(firstOverlay)),
          blockSize,
          guestDiskBytes: annotationNumber(manifest, Annotation.diskSize),
        };
  refuseTwoContents(image);
  return image;
}

/**
 * What kind of VM image a manifest is, by its layers alone; undefined for other images. Whether it can be used,
 * {@link parseTartImage} says.
 */
export function vmLayout({ layers }: ImageManifest): TartImage['layout'] | undefined {
  const types = layers.map(({ mediaType }) => mediaType);
  if (!types.some(isTartType)) return undefined;
  return types.includes(MediaType.tartOverlay) ? 'stacked' : 'flat';
}

/** The files that a stacked disk consists of, base first. */
export function stackedFiles(image: StackedImage): readonly StoredDiskFile[] {
  return [image.base, ...image.overlays];
}

/** Every chunk of every file, base first: what a pull fetches. */
export function allChunks(image: TartImage): readonly DiskChunk[] {
  return image.layout === 'flat' ? image.base.chunks : stackedFiles(image).flatMap((file) => file.chunks);
}

/**
 * Bytes that cross the network for a whole image: VM config, NVRAM and chunks, each blob counted once although its
 * digest may repeat. The stub config is not part of a pull.
 */
export function transferBytes(image: TartImage): number {
  const blobs = new Map<string, number>();
  for (const descriptor of [image.config, image.nvram, ...allChunks(image).map((chunk) => chunk.descriptor)]) {
    blobs.set(descriptor.digest.toString(), descriptor.size);
  }
  return [...blobs.values()].reduce((sum, size) => sum + size, 0);
}

function refuseOtherKinds(manifest: ImageManifest, name: string): void {
  const types = manifest.layers.map((layer) => layer.mediaType);
  if (types.includes(MediaType.vetuConfig)) throw unsupported(name, 'is a Vetu image', { kind: 'use-vetu' });
  if (types.includes(MediaType.tartLegacyDisk)) {
    throw unsupported(name, 'has a disk in the format of Tart before 2.0', { kind: 'push-again-with-tart-2' });
  }
  const foreign = types.findIndex((type) => !TART_LAYERS.has(type));
  if (types.some((type) => TART_LAYERS.has(type))) {
    if (foreign < 0) return;
    // Skipping it could build a disk that lacks a part (reliability C18).
    throw unsupported(name, `has a layer of unknown type "${shown(types[foreign] ?? '')}" (layers[${foreign}])`, {
      kind: 'use-newer-version',
    });
  }
  const ofTart = types.find(isTartType);
  if (ofTart !== undefined) {
    const unknown = shown(ofTart);
    const why = `is a VM image of a version of Tart that is not known here: its layers are of types like "${unknown}"`;
    throw unsupported(name, why, { kind: 'use-that-tart' });
  }
  if (isLume(manifest)) throw unsupported(name, 'is a VM image of lume, in a format of its own', { kind: 'use-lume' });
  throw noVmImage(manifest, name);
}

function isTartType(mediaType: string): boolean {
  return mediaType.startsWith('application/vnd.cirruslabs.tart.');
}

/**
 * The images of lume (github.com/trycua/cua, libs/lume): types of its own, LZ4 parts, or parts of a disk that call
 * themselves layers of a container and are numbered in a parameter of their type.
 */
function isLume({ config, layers, annotations }: ImageManifest): boolean {
  const types = [config, ...layers].map(({ mediaType }) => mediaType);
  const keys = [...annotations.keys(), ...layers.flatMap((layer) => [...layer.annotations.keys()])];
  return (
    types.some((type) => type.startsWith('application/vnd.trycua.') || /;\s*part\.number=/.test(type)) ||
    types.includes('application/octet-stream+lz4') ||
    keys.some((key) => /^(?:com|org)\.trycua\.lume\./.test(key))
  );
}

function noVmImage({ config, layers }: ImageManifest, name: string): TartletError {
  const [first] = layers;
  const found =
    first === undefined
      ? `no layers and a config of type "${shown(config.mediaType)}"`
      : `${layers.length} ${layers.length === 1 ? 'layer' : 'layers'}, the first of type "${shown(first.mediaType)}"`;
  return unsupported(name, `is not a VM image: it has ${found}`, { kind: 'is-no-vm-image' });
}

function unsupported(name: string, why: string, next: Hint): TartletError {
  return new TartletError('MEDIA_UNSUPPORTED', `${name} ${why}`, { subject: name, next });
}

function onlyLayer(manifest: ImageManifest, mediaType: string, what: string): Descriptor {
  const [layer, ...more] = manifest.layers.filter((each) => each.mediaType === mediaType);
  if (layer === undefined) throw invalid('layers', `have no ${what}`);
  if (more.length > 0) throw invalid('layers', `have the ${what} ${more.length + 1} times`);
  return layer;
}

/**
 * Checks the manifest's own numbers (reliability C10, C11) and returns the block size. Without one, the disk size of a
 * flat image is the size of its file. With one, the manifest is of a stacked image, or of the base that a stacked clone
 * was made from: the disk size is then what the guest sees, in whole blocks, and says nothing about files (tart-formats
 * §4.2, §4.8).
 *
 * @param flatSize bytes of the chunks together, for a flat image.
 */
function checkDiskSize(manifest: ImageManifest, flatSize: number | undefined): number | undefined {
  const diskSize = annotationNumber(manifest, Annotation.diskSize);
  const blockSize = annotationNumber(manifest, Annotation.blockSize);
  if (diskSize === undefined) return blockSize;
  const where = `annotations["${Annotation.diskSize}"]`;
  if (blockSize !== undefined && diskSize % blockSize !== 0) {
    throw invalid(where, `says ${diskSize} bytes, which are not whole blocks of ${blockSize}`);
  }
  if (blockSize === undefined && flatSize !== undefined && diskSize !== flatSize) {
    throw invalid(where, `says ${diskSize} bytes, the chunks add up to ${flatSize}`);
  }
  return blockSize;
}

/** An index makes reading faster and is needed for nothing: nonsense means that there is none. */
function piecesOf({ annotations }: ImageManifest, disk: DiskFile): BlobIdentity | undefined {
  const digest = Digest.tryParse(annotations.get(Annotation.piecesDigest) ?? '');
  const size = parseAnnotationNumber(annotations.get(Annotation.piecesSize));
  return digest === undefined || size === undefined || size > largestPieceIndex(disk) ? undefined : { digest, size };
}

/** Absent is allowed, zero and nonsense are not. */
function annotationNumber(manifest: ImageManifest, key: string): number | undefined {
  const text = manifest.annotations.get(key);
  const value = parseAnnotationNumber(text);
  if (text !== undefined && (value === undefined || value === 0)) {
    throw invalid(`annotations["${key}"]`, `is "${shown(text, 40)}", not a usable number`);
  }
  return value;
}

/**
 * Blobs are fetched once and used wherever they occur (reliability C21): a manifest must not claim that one decodes to
 * two contents.
 */
function refuseTwoContents(image: TartImage): void {
  const seen = new Map<string, DiskChunk>();
  for (const chunk of allChunks(image)) {
    const blob = chunk.descriptor.digest.toString();
    const earlier = seen.get(blob) ?? chunk;
    seen.set(blob, earlier);
    if (earlier.size !== chunk.size || !earlier.contentDigest.equals(chunk.contentDigest)) {
      throw invalid(`chunks of the blob ${blob}`, 'claim that it decodes to different contents');
    }
  }
}
