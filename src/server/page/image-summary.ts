import { isTartletError } from '../../errors.ts';
import type { Digest } from '../../names/digest.ts';
import { Annotation } from '../../oci/annotation.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { type ImageManifest, type IndexEntry, parseManifest } from '../../oci/manifest.ts';
import { parseTartImage, stackedFiles, type TartImage } from '../../oci/tart-image.ts';
import { shortened } from './markup.ts';

/** A piece of a disk that is one blob. */
export interface SummaryChunk {
  /** Where its bytes belong in the file, and how many these are. */
  readonly offset: number;
  readonly size: number;
  /** Digest and bytes of the blob. */
  readonly blob: string;
  readonly stored: number;
  /** Whether it can only hold zeros, or one byte over and over: nothing else becomes so small by LZ4. */
  readonly isZeros: boolean;
}

/** A file that the disk consists of. */
export interface SummaryFile {
  readonly size: number;
  readonly chunks: readonly SummaryChunk[];
}

/** What a page shows of a manifest, kept without the manifest itself. */
export interface ImageSummary {
  readonly digest: Digest;
  /** `unknown` is what could not be read as a manifest, and `note` says why. */
  readonly kind: 'vm' | 'image' | 'index' | 'unknown';
  readonly note: string | undefined;
  /** As its manifest says, which its pusher wrote. */
  readonly pushedAt: Date | undefined;
  /** Bytes of the disk as the guest sees it. */
  readonly diskBytes: number | undefined;
  /** Every blob of the image with its bytes. */
  readonly blobs: ReadonlyMap<string, number>;
  /** The disk of a VM: the base first, overlays behind it. */
  readonly files: readonly SummaryFile[];
  /** What describes the image, and the VM. */
  readonly config: Descriptor | undefined;
  readonly vmConfig: Descriptor | undefined;
  readonly annotations: readonly (readonly [key: string, value: string])[];
  /** Of an index. */
  readonly entries: readonly IndexEntry[];
}

/** LZ4 makes at most 255 bytes out of one; Apple's blocks of zeros come to 233. */
const ZEROS_RATIO = 200;
/** How much of the annotations is kept. */
const MAX_ANNOTATIONS = 50;
const MAX_ANNOTATION_CHARACTERS = 400;
/** Entries of an index that are kept. */
const MAX_ENTRIES = 100;

/** Reads a manifest that the store has. Never throws for what is in it: that is a summary of kind `unknown`. */
export function summarize(digest: Digest, bytes: Uint8Array, mediaType: string): ImageSummary {
  try {
    const manifest = parseManifest(bytes, mediaType);
    const annotations = [...manifest.annotations]
      .slice(0, MAX_ANNOTATIONS)
      .map(([key, value]) => [shortened(key, 200), shortened(value, MAX_ANNOTATION_CHARACTERS)] as const);
    const common = { ...unknown(digest, undefined), annotations, pushedAt: pushTime(manifest.annotations) };
    if (manifest.kind === 'index') {
      return { ...common, kind: 'index', entries: manifest.manifests.slice(0, MAX_ENTRIES) };
    }
    return { ...common, ...summarizeImage(manifest) };
  } catch (error) {
    if (!isTartletError(error)) throw error;
    return unknown(digest, error.message);
  }
}

/** A manifest of which only the digest is known. @param note why, for people. */
export function unknown(digest: Digest, note: string | undefined): ImageSummary {
  return {
    digest,
    kind: 'unknown',
    note,
    pushedAt: undefined,
    diskBytes: undefined,
    blobs: new Map(),
    files: [],
    config: undefined,
    vmConfig: undefined,
    annotations: [],
    entries: [],
  };
}

type ImagePart = Pick<ImageSummary, 'kind' | 'note' | 'blobs' | 'config' | 'vmConfig' | 'files' | 'diskBytes'>;

function summarizeImage(manifest: ImageManifest): ImagePart {
  const blobs = new Map([manifest.config, ...manifest.layers].map(({ digest, size }) => [digest.toString(), size]));
  const part: ImagePart = {
    kind: 'image',
    note: undefined,
    blobs,
    config: manifest.config,
    vmConfig: undefined,
    files: [],
    diskBytes: undefined,
  };
  let image: TartImage;
  try {
    image = parseTartImage(manifest, 'it');
  } catch (error) {
    if (!isTartletError(error)) throw error;
    // An image of another kind is no fault, a broken one of ours is.
    return { ...part, note: error.code === 'MEDIA_UNSUPPORTED' ? undefined : error.message };
  }
  return { ...part, kind: 'vm', vmConfig: image.config, ...diskOf(image) };
}

function diskOf(image: TartImage): Pick<ImageSummary, 'files' | 'diskBytes'> {
  const files = image.layout === 'flat' ? [image.base] : stackedFiles(image);
  return {
    diskBytes: (image.layout === 'stacked' ? image.guestDiskBytes : undefined) ?? image.base.size,
    files: files.map(({ size, chunks }) => ({
      size,
      chunks: chunks.map(({ offset, size: bytes, descriptor }) => ({
        offset,
        size: bytes,
        blob: descriptor.digest.toString(),
        stored: descriptor.size,
        isZeros: bytes >= descriptor.size * ZEROS_RATIO,
      })),
    })),
  };
}

/** Tart's own annotation, else that of OCI (image spec § annotations). A time that is none is not shown. */
function pushTime(annotations: ReadonlyMap<string, string>): Date | undefined {
  const text = annotations.get(Annotation.uploadTime) ?? annotations.get('org.opencontainers.image.created');
  if (text === undefined || !/^\d{4}-\d\d-\d\dT[\d:.]{8,18}(?:Z|[+-]\d\d:?\d\d)$/i.test(text)) return undefined;
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? undefined : time;
}
