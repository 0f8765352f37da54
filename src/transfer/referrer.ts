import { isTartletError, TartletError } from '../errors.ts';
import { fieldOf, isJsonObject, type JsonObject, textOf } from '../json/foreign.ts';
import { Digest } from '../names/digest.ts';
import { Tag } from '../names/tag.ts';
import { canonicalJson, type JsonValue } from '../oci/canonical-json.ts';
import type { BlobIdentity } from '../oci/descriptor.ts';
import { parseJsonDocument } from '../oci/json-document.ts';
import { MediaType } from '../oci/media-type.ts';
import type { RawManifest } from '../registry/client.ts';
import type { BlobPusher, CallOptions, ManifestSource, ManifestTarget } from '../registry/contract.ts';
import type { ReferrerQuestion } from '../registry/referrers.ts';

/** Image spec § guidance for an empty descriptor: an artifact without a config has this one. */
const EMPTY_CONFIG = Buffer.from('{}');

/** One blob that says something about an image. */
export interface Artifact extends BlobIdentity {
  readonly mediaType: string;
  /** The blob itself, to stand in the manifest as well (image spec § descriptors, `data`). Default: it does not. */
  readonly data?: Uint8Array | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** Where it can be asked what refers to a manifest. */
export interface ReferrerSource extends ManifestSource {
  /** See `RegistryClient.referrers`. */
  referrers(subject: Digest, question?: ReferrerQuestion): Promise<readonly JsonObject[]>;
}

/**
 * Stores a manifest that refers to an image and has one blob as its layer. Repeating it is harmless.
 *
 * @param image that is stored already. @param artifact the blob, which the repository has.
 * @returns how lists of referrers describe it.
 * @throws TartletError of the registry client.
 */
export async function storeReferrer(
  client: BlobPusher & ManifestTarget,
  image: RawManifest,
  { mediaType, digest, size, data, annotations }: Artifact,
  signal: AbortSignal,
): Promise<ReferrerEntry> {
  const config = await storeBytes(client, EMPTY_CONFIG, signal);
  const named = (type: string, blob: BlobIdentity) => ({
    mediaType: type,
    digest: blob.digest.toString(),
    size: blob.size,
  });
  const embedded = data && { data: Buffer.from(data).toString('base64') };
  const bytes = canonicalJson({
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    artifactType: mediaType,
    config: named(MediaType.ociEmpty, config),
    layers: [{ ...named(mediaType, { digest, size }), ...embedded }],
    subject: named(image.mediaType, { digest: image.digest, size: image.bytes.length }),
    annotations,
  });
  const manifest = Digest.of(bytes);
  await client.putManifest({ digest: manifest }, bytes, MediaType.ociManifest, { signal });
  return {
    ...named(MediaType.ociManifest, { digest: manifest, size: bytes.length }),
    artifactType: mediaType,
    annotations,
  };
}

/** An entry of a list of referrers. */
export type ReferrerEntry = Readonly<Record<string, JsonValue | undefined>> & {
  readonly digest: string;
  readonly artifactType: string;
};

/** Stores a small blob, unless it is there. @returns what it is. */
export async function storeBytes(client: BlobPusher, bytes: Uint8Array, signal: AbortSignal): Promise<BlobIdentity> {
  const blob = { digest: Digest.of(bytes), size: bytes.length };
  if (await client.blobExists(blob, { action: 'push', signal })) return blob;
  const open = (from: number, to: number): Uint8Array => bytes.subarray(from, to);
  await client.uploadBlob({ ...blob, open }, { signal });
  return blob;
}

/**
 * What refers to an image and is of one type: as the registry lists it, or, where it keeps no such list, as a tag does
 * that is named after the image (distribution spec § referrers tag schema). Of a list in several pages only the first
 * is read.
 *
 * @returns descriptors as others wrote them; `by-tag`: the registry keeps no list.
 * @throws TartletError of the registry client.
 */
export async function findReferrers(
  client: ReferrerSource,
  subject: Digest,
  artifactType: string,
  signal: AbortSignal,
): Promise<{ readonly entries: readonly JsonObject[]; readonly how: 'listed' | 'by-tag' }> {
  try {
    return { entries: await client.referrers(subject, { artifactType, pages: 'first', signal }), how: 'listed' };
  } catch (error) {
    if (!isTartletError(error, ...KEEPS_NO_LIST)) throw error;
  }
  const all = await entriesOfTag(client, subject, { signal });
  return { entries: all.filter((each) => textOf(each, 'artifactType') === artifactType), how: 'by-tag' };
}

/** What registries answer that keep no list of referrers: among them some that send a page of theirs. */
const KEEPS_NO_LIST = ['NOT_FOUND', 'REG_REJECTED', 'NET_PROTOCOL'] as const;

/**
 * Names a referrer in the list that a tag leads to, for a registry that keeps none. It takes the place of others of
 * its type.
 *
 * @throws TartletError `MANIFEST_INVALID` where the tag leads to something else, and those of the registry client.
 */
export async function nameByTag(
  client: ManifestSource & ManifestTarget,
  subject: Digest,
  entry: ReferrerEntry,
  signal: AbortSignal,
): Promise<void> {
  const others = (await entriesOfTag(client, subject, { signal })).filter(
    (each) => textOf(each, 'artifactType') !== entry.artifactType,
  );
  // What others wrote is JSON: it was read as such.
  const manifests = [...(others as readonly Readonly<Record<string, JsonValue>>[]), entry];
  const bytes = canonicalJson({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests });
  await client.putManifest({ tag: tagOf(subject) }, bytes, MediaType.ociIndex, { signal });
}

async function entriesOfTag(
  client: ManifestSource,
  subject: Digest,
  options: CallOptions,
): Promise<readonly JsonObject[]> {
  try {
    const { bytes } = await client.manifest({ tag: tagOf(subject) }, options);
    const manifests = fieldOf(parseJsonDocument(bytes, `list ${tagOf(subject).text}`), 'manifests');
    if (Array.isArray(manifests)) return manifests.filter(isJsonObject);
  } catch (error) {
    if (isTartletError(error, 'NOT_FOUND')) return [];
    throw error;
  }
  const tag = tagOf(subject).text;
  throw new TartletError('MANIFEST_INVALID', `the tag ${tag} leads to no list of what refers to an image`, {
    subject: tag,
  });
}

function tagOf({ algorithm, hex }: Digest): Tag {
  return Tag.parse(`${algorithm}-${hex.slice(0, 64)}`);
}
