import { isTartletError, TartletError } from '../errors.ts';
import type { Digest } from '../names/digest.ts';
import type { RemoteName } from '../names/remote-name.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Manifest, parseManifest } from '../oci/manifest.ts';
import { isImageManifestType, isIndexType } from '../oci/media-type.ts';
import type { RawManifest } from '../registry/client.ts';
import type { ManifestSource } from '../registry/contract.ts';

/** A manifest under the digest that others name it by. */
export interface NamedManifest {
  readonly digest: Digest;
  readonly manifest: Manifest;
}

/** An index may name indexes; deeper than this no known tool nests them. */
const MAX_DEPTH = 4;
/** Manifests of one image, and their bytes: they are kept in memory until all blobs are copied. */
const MAX_MANIFESTS = 1000;
const MAX_TREE_BYTES = 64 * 1024 * 1024;

/**
 * What a name leads to now.
 * @throws TartletError `NOT_FOUND`, `MANIFEST_INVALID`, `DIGEST_MISMATCH` when a tag does not lead to the digest named
 * beside it.
 */
export async function resolveManifest(
  client: ManifestSource,
  name: RemoteName,
  signal: AbortSignal,
): Promise<NamedManifest> {
  const { reference } = name;
  const raw = await client.manifest(
    reference.kind === 'digest' ? { digest: reference.digest } : { tag: reference.tag },
    { signal, isMeant: ({ digest }) => name.digest?.equals(digest) ?? true },
  );
  if (name.digest !== undefined && !name.digest.equals(raw.digest)) {
    throw new TartletError('DIGEST_MISMATCH', `the tag of ${name.toString()} leads to ${raw.digest.toString()}`, {
      subject: name.toString(),
      expected: name.digest.toString(),
      found: raw.digest.toString(),
      next: { kind: 'choose-tag-or-digest', to: 'copy' },
    });
  }
  return { digest: raw.digest, manifest: understand(raw, name.toString()) };
}

/**
 * A manifest with all manifests below it, children before their parents: the order in which they can be stored.
 *
 * @param subject what the image is called, for messages.
 * @throws TartletError `NOT_FOUND` for a child that its registry lacks, `MANIFEST_INVALID`, `MANIFEST_TOO_LARGE`.
 */
export async function manifestTree(
  client: ManifestSource,
  root: NamedManifest,
  subject: string,
  signal: AbortSignal,
): Promise<readonly NamedManifest[]> {
  const tree = new Map<string, NamedManifest>();
  let bytes = 0;
  const gather = async (node: NamedManifest, depth: number): Promise<void> => {
    bytes += node.manifest.bytes.length;
    if (depth > MAX_DEPTH || tree.size >= MAX_MANIFESTS || bytes > MAX_TREE_BYTES) throw tooLarge(subject);
    for (const entry of childrenOf(node.manifest)) {
      if (tree.has(entry.digest.toString())) continue;
      const { manifest } = await readChild(client, entry, subject, signal);
      await gather({ digest: entry.digest, manifest }, depth + 1);
    }
    tree.set(node.digest.toString(), node);
  };
  await gather(root, 0);
  return [...tree.values()];
}

/** What a manifest names that is no manifest. Build caches put plain blobs into an index. */
export function blobsOf(manifest: Manifest): readonly Descriptor[] {
  if (manifest.kind === 'image') return [manifest.config, ...manifest.layers];
  return manifest.manifests.filter((entry) => !isManifest(entry));
}

function childrenOf(manifest: Manifest): readonly Descriptor[] {
  return manifest.kind === 'image' ? [] : manifest.manifests.filter(isManifest);
}

function isManifest({ mediaType }: Descriptor): boolean {
  return isImageManifestType(mediaType) || isIndexType(mediaType);
}

/**
 * A manifest that an index names.
 * @param subject what the index is called, for messages.
 * @throws TartletError `NOT_FOUND`, `MANIFEST_INVALID` and `SIZE_MISMATCH` where it is not what its index says, those
 * of the client.
 */
export async function readChild(
  client: ManifestSource,
  entry: Descriptor,
  subject: string,
  signal: AbortSignal,
): Promise<{ readonly raw: RawManifest; readonly manifest: Manifest }> {
  const raw = await client.manifest({ digest: entry.digest }, { signal });
  return { raw, manifest: understandChild(raw, entry, subject) };
}

function understandChild(raw: RawManifest, entry: Descriptor, subject: string): Manifest {
  const child = `${entry.digest.toString()} of ${subject}`;
  if (raw.bytes.length !== entry.size) {
    throw new TartletError('SIZE_MISMATCH', `the manifest ${child} has ${raw.bytes.length} bytes, not ${entry.size}`, {
      subject,
    });
  }
  const manifest = understand(raw, child);
  if (manifest.mediaType === entry.mediaType) return manifest;
  // Two tools would see two things in one document (CVE-2021-41190, reliability C19).
  throw new TartletError(
    'MANIFEST_INVALID',
    `the manifest ${child} is of type "${manifest.mediaType}", its index says otherwise`,
    { subject },
  );
}

function understand(raw: RawManifest, subject: string): Manifest {
  try {
    return parseManifest(raw.bytes, raw.mediaType);
  } catch (error) {
    if (!isTartletError(error, 'MANIFEST_INVALID', 'MEDIA_UNSUPPORTED')) throw error;
    // The parser knows which field is wrong, but not whose.
    throw new TartletError(error.code, `${subject} cannot be used: ${error.message}`, {
      ...error.facts,
      subject,
      kept: 'nothing was changed',
    });
  }
}

function tooLarge(subject: string): TartletError {
  return new TartletError(
    'MANIFEST_TOO_LARGE',
    `${subject} has more than ${MAX_MANIFESTS} manifests, more than 64 MiB of them, or indexes more than ` +
      `${MAX_DEPTH} deep`,
    { subject, kept: 'nothing was changed' },
  );
}
