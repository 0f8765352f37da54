import { TartletError } from '../errors.ts';
import { Digest } from '../names/digest.ts';
import { type Descriptor, invalid, parseAnnotations, parseDescriptor, refuseOtherSpelling } from './descriptor.ts';
import { isJsonObject, type JsonObject } from '../json/foreign.ts';
import { parseJsonDocument } from './json-document.ts';
import { bareMediaType, isImageManifestType, isIndexType, MediaType } from './media-type.ts';
import { shown } from './shown.ts';

/** The most that is read as a manifest; registries refuse more than 4 MiB anyway (reliability §0.2). */
export const MAX_MANIFEST_BYTES = 16 * 1024 * 1024;
const MAX_LAYERS = 10_000;
/** Entries of an index that a message names. */
const MAX_LISTED = 8;

interface Document {
  /** Exactly as received or sent: its hash is the identity, so it is never re-encoded. */
  readonly bytes: Uint8Array;
  /** SHA-256 of `bytes`, computed here. */
  readonly digest: Digest;
  readonly mediaType: string;
  readonly annotations: ReadonlyMap<string, string>;
}

/** One image: a config and layers. */
export interface ImageManifest extends Document {
  readonly kind: 'image';
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly artifactType: string | undefined;
}

/** What an index says of one manifest; `platform` as `os/architecture`. */
export type IndexEntry = Descriptor & { readonly platform: string | undefined };

/** A list of manifests, one per platform. Tart never makes one; other tools wrap its images in one. */
export interface IndexManifest extends Document {
  readonly kind: 'index';
  readonly manifests: readonly IndexEntry[];
}

export type Manifest = ImageManifest | IndexManifest;

/**
 * Reads a manifest from the very bytes a registry sent or a file holds. What it means is derived from its content; a
 * header that says otherwise is refused, so that two tools cannot be made to see two images in one digest
 * (CVE-2021-41190, reliability C19).
 *
 * @param contentType the header that came with it, when one did.
 * @throws TartletError `MANIFEST_TOO_LARGE`, `MANIFEST_INVALID`, `MEDIA_UNSUPPORTED`
 */
export function parseManifest(bytes: Uint8Array, contentType?: string): Manifest {
  if (bytes.length > MAX_MANIFEST_BYTES) {
    throw new TartletError(
      'MANIFEST_TOO_LARGE',
      `the manifest has ${bytes.length} bytes, the limit is ${MAX_MANIFEST_BYTES}`,
    );
  }
  const value = parseJsonDocument(bytes, 'manifest');
  if (!isJsonObject(value)) throw invalid('the document', 'is not an object');
  refuseOtherSpelling(value, 'the document');
  if (value['schemaVersion'] !== 2) {
    throw new TartletError('MEDIA_UNSUPPORTED', 'the manifest is not of schema version 2', {
      // Not `String()`: an object from a document may bring a `toString` that is no function.
      found: shown(JSON.stringify(value['schemaVersion'] ?? null), 20),
      next: { kind: 'push-again-with-current-tool' },
    });
  }
  const kind = kindOf(value);
  const mediaType = agreedMediaType(value['mediaType'], contentType, kind);
  const digest = Digest.of(bytes);
  const annotations = parseAnnotations(value['annotations'], 'annotations');
  const document: Document = { bytes, digest, mediaType, annotations };
  return kind === 'image' ? { ...document, ...parseImage(value) } : { ...document, ...parseIndex(value) };
}

/**
 * For callers that need one image and have no registry at hand that would tell more of an index: the manifest itself,
 * or an error that lists what the index offers (reliability Q19).
 *
 * @throws TartletError `MEDIA_UNSUPPORTED`
 */
export function requireImage(manifest: Manifest, name: string): ImageManifest {
  if (manifest.kind === 'image') return manifest;
  throw new TartletError(
    'MEDIA_UNSUPPORTED',
    `${name} is an image index, not a VM image; it offers ${listEntries(manifest.manifests)}`,
    { subject: name, next: { kind: 'name-manifest-by-digest' } },
  );
}

/**
 * Entries of an index for a message, each with the whole digest by which it can be named; at most {@link MAX_LISTED}.
 */
export function listEntries(entries: readonly IndexEntry[]): string {
  const listed = entries
    .slice(0, MAX_LISTED)
    .map(({ platform, digest }) =>
      [platform === undefined ? [] : shown(platform, 40), digest.toString()].flat().join(' '),
    );
  if (entries.length > MAX_LISTED) listed.push(`${entries.length - MAX_LISTED} more`);
  return listed.length === 0 ? 'nothing' : listed.join(', ');
}

/**
 * Whether an entry may be an image. BuildKit puts records of how something was built into an index, of the platform
 * `unknown`.
 */
export function isImageEntry({ mediaType, platform }: IndexEntry): boolean {
  return isImageManifestType(mediaType) && platform !== 'unknown/unknown';
}

function kindOf(value: JsonObject): 'image' | 'index' {
  const hasLayers = value['layers'] !== undefined || value['config'] !== undefined;
  const hasManifests = value['manifests'] !== undefined;
  if (hasLayers && hasManifests) throw invalid('the document', 'is an image and an index at once');
  if (!hasLayers && !hasManifests) throw invalid('the document', 'has neither layers nor manifests');
  return hasLayers ? 'image' : 'index';
}

/**
 * Both witnesses must fit the content; a type that is no manifest type at all says nothing in a header (reliability
 * C19, Q18).
 */
function agreedMediaType(field: unknown, header: string | undefined, kind: 'image' | 'index'): string {
  const fits = kind === 'image' ? isImageManifestType : isIndexType;
  const bare = header === undefined ? '' : bareMediaType(header);
  // `text/plain` and the like are only sloppy servers.
  const claimed = isImageManifestType(bare) || isIndexType(bare) ? bare : undefined;
  if (field === undefined) {
    // OCI allows the field to be absent; Tart itself always writes it.
    if (claimed === undefined) return kind === 'image' ? MediaType.ociManifest : MediaType.ociIndex;
    if (!fits(claimed)) throw invalid('the document', `is an ${kind}, the registry says "${claimed}"`);
    return claimed;
  }
  if (typeof field !== 'string') throw invalid('mediaType', 'is not a string');
  if (!isImageManifestType(field) && !isIndexType(field)) {
    throw new TartletError('MEDIA_UNSUPPORTED', `the manifest is of unknown type "${shown(field)}"`, {
      subject: 'mediaType',
    });
  }
  if (!fits(field)) throw invalid('mediaType', `says "${field}", the content is an ${kind}`);
  if (claimed !== undefined && claimed !== field) {
    throw invalid('mediaType', `says "${field}", the registry says "${claimed}"`);
  }
  return field;
}

function parseImage(value: JsonObject): Pick<ImageManifest, 'kind' | 'config' | 'layers' | 'artifactType'> {
  const artifactType = value['artifactType'];
  const config = parseDescriptor(value['config'], 'config');
  const layers = parseEntries(value['layers'], 'layers');
  refuseTwoSizes([config, ...layers]);
  return {
    kind: 'image',
    config,
    layers,
    artifactType: typeof artifactType === 'string' ? artifactType : undefined,
  };
}

function parseIndex(value: JsonObject): Pick<IndexManifest, 'kind' | 'manifests'> {
  const list: unknown = value['manifests'];
  const platforms = Array.isArray(list) ? list.map(platformText) : [];
  return {
    kind: 'index',
    manifests: parseEntries(list, 'manifests').map((entry, index) => ({ ...entry, platform: platforms[index] })),
  };
}

function parseEntries(value: unknown, where: 'layers' | 'manifests'): Descriptor[] {
  if (!Array.isArray(value)) throw invalid(where, value === undefined ? 'is missing' : 'is not a list');
  if (value.length > MAX_LAYERS) {
    throw new TartletError(
      'MANIFEST_TOO_LARGE',
      `the manifest has ${value.length} ${where}, the limit is ${MAX_LAYERS}`,
      { subject: where },
    );
  }
  return value.map((entry: unknown, index) => parseDescriptor(entry, `${where}[${index}]`));
}

/**
 * One digest names one blob, and that has one length: a manifest that says otherwise is wrong in one of the two places
 * (reliability C12, C21).
 */
function refuseTwoSizes(descriptors: readonly Descriptor[]): void {
  const sizes = new Map<string, number>();
  for (const { digest, size } of descriptors) {
    const blob = digest.toString();
    const earlier = sizes.get(blob) ?? size;
    if (earlier !== size) throw invalid(`the blob ${blob}`, `is named with two sizes, ${earlier} and ${size}`);
    sizes.set(blob, size);
  }
}

function platformText(entry: unknown): string | undefined {
  const platform = isJsonObject(entry) ? entry['platform'] : undefined;
  if (!isJsonObject(platform)) return undefined;
  const { os, architecture } = platform;
  return typeof os === 'string' && typeof architecture === 'string' ? `${os}/${architecture}`.slice(0, 40) : undefined;
}
