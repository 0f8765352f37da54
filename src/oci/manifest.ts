import { createHash } from 'node:crypto';
import { TartletError } from '../errors.ts';
import { Digest } from '../names/digest.ts';
import { type Descriptor, invalid, parseAnnotations, parseDescriptor } from './descriptor.ts';
import { isJsonObject, parseJsonDocument } from './json-document.ts';
import { bareMediaType, isImageManifestType, isIndexType } from './media-type.ts';

/** The most that is read as a manifest; registries refuse more than 4 MiB anyway (reliability §0.2). */
export const MAX_MANIFEST_BYTES = 16 * 1024 * 1024;
const MAX_LAYERS = 10_000;

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

/** A list of manifests, one per platform. Tart never makes one; we know it to say so. */
export interface IndexManifest extends Document {
  readonly kind: 'index';
  readonly manifests: readonly (Descriptor & { readonly platform: string | undefined })[];
}

export type Manifest = ImageManifest | IndexManifest;

/**
 * Reads a manifest from the very bytes a registry sent or a file holds. What it means is derived from its content; a header
 * that says otherwise is refused, so that nobody can make two tools see two images in one digest (CVE-2021-41190, reliability C19).
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
  if (value['schemaVersion'] !== 2) {
    throw new TartletError('MEDIA_UNSUPPORTED', 'the manifest is not of schema version 2', {
      found: String(value['schemaVersion']).slice(0, 20),
      next: 'push the image again with a current tool',
    });
  }
  const kind = kindOf(value);
  const mediaType = agreedMediaType(value['mediaType'], contentType, kind);
  const digest = Digest.sha256(createHash('sha256').update(bytes).digest('hex'));
  const annotations = parseAnnotations(value['annotations'], 'the manifest');
  const document: Document = { bytes, digest, mediaType, annotations };
  return kind === 'image' ? { ...document, ...parseImage(value) } : { ...document, ...parseIndex(value) };
}

/** Turns parsed pieces back into text would lose the bytes: whoever needs an {@link ImageManifest} and got an index hears why. */
export function requireImage(manifest: Manifest, name: string): ImageManifest {
  if (manifest.kind === 'image') return manifest;
  const platforms = manifest.manifests
    .map((entry) => entry.platform ?? entry.digest.toString().slice(0, 19))
    .slice(0, 8);
  throw new TartletError(
    'MEDIA_UNSUPPORTED',
    `${name} is an image index with ${manifest.manifests.length} entries (${platforms.join(', ')}), not a VM image`,
    { subject: name, next: 'name one of its manifests by digest, if one of them is a VM image' },
  );
}

function kindOf(value: Readonly<Record<string, unknown>>): 'image' | 'index' {
  const hasLayers = value['layers'] !== undefined || value['config'] !== undefined;
  const hasManifests = value['manifests'] !== undefined;
  if (hasLayers && hasManifests) throw invalid('the document', 'is an image and an index at once');
  if (!hasLayers && !hasManifests) throw invalid('the document', 'has neither layers nor manifests');
  return hasLayers ? 'image' : 'index';
}

function agreedMediaType(field: unknown, header: string | undefined, kind: 'image' | 'index'): string {
  if (field !== undefined && typeof field !== 'string') throw invalid('mediaType', 'is not a string');
  const claimed = header === undefined ? undefined : bareMediaType(header);
  const fits = kind === 'image' ? isImageManifestType : isIndexType;
  // OCI allows the field to be absent; Tart itself always writes it.
  if (field !== undefined) {
    if (!fits(field)) throw invalid('mediaType', `says "${field.slice(0, 80)}", the content is an ${kind}`);
    // A header that names another manifest type is a contradiction; `text/plain` and the like are only sloppy servers (Q18).
    if (claimed !== undefined && claimed !== field && (isImageManifestType(claimed) || isIndexType(claimed))) {
      throw invalid('mediaType', `says "${field}", the registry says "${claimed}"`);
    }
    return field;
  }
  if (claimed !== undefined && fits(claimed)) return claimed;
  if (claimed !== undefined && (isImageManifestType(claimed) || isIndexType(claimed))) {
    throw invalid('the content', `is an ${kind}, the registry says "${claimed}"`);
  }
  return kind === 'image' ? 'application/vnd.oci.image.manifest.v1+json' : 'application/vnd.oci.image.index.v1+json';
}

function parseImage(
  value: Readonly<Record<string, unknown>>,
): Pick<ImageManifest, 'kind' | 'config' | 'layers' | 'artifactType'> {
  const layers = value['layers'];
  if (!Array.isArray(layers)) throw invalid('layers', 'is not a list');
  if (layers.length > MAX_LAYERS) {
    throw new TartletError(
      'MANIFEST_TOO_LARGE',
      `the manifest has ${layers.length} layers, the limit is ${MAX_LAYERS}`,
    );
  }
  const artifactType = value['artifactType'];
  return {
    kind: 'image',
    config: parseDescriptor(value['config'], 'config'),
    layers: layers.map((layer: unknown, index) => parseDescriptor(layer, `layers[${index}]`)),
    artifactType: typeof artifactType === 'string' ? artifactType : undefined,
  };
}

function parseIndex(value: Readonly<Record<string, unknown>>): Pick<IndexManifest, 'kind' | 'manifests'> {
  const manifests = value['manifests'];
  if (!Array.isArray(manifests)) throw invalid('manifests', 'is not a list');
  if (manifests.length > MAX_LAYERS)
    throw new TartletError('MANIFEST_TOO_LARGE', `the index has ${manifests.length} entries`);
  return {
    kind: 'index',
    manifests: manifests.map((entry: unknown, index) => ({
      ...parseDescriptor(entry, `manifests[${index}]`),
      platform: platformText(entry),
    })),
  };
}

function platformText(entry: unknown): string | undefined {
  const platform = isJsonObject(entry) ? entry['platform'] : undefined;
  if (!isJsonObject(platform)) return undefined;
  const { os, architecture } = platform;
  return typeof os === 'string' && typeof architecture === 'string' ? `${os}/${architecture}`.slice(0, 40) : undefined;
}
