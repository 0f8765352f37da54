import { Digest } from '../names/digest.ts';
import { canonicalJson } from '../oci/canonical-json.ts';
import type { BlobIdentity } from '../oci/descriptor.ts';
import { MediaType } from '../oci/media-type.ts';
import type { RawManifest } from '../registry/client.ts';
import type { BlobPusher, ManifestTarget } from '../registry/contract.ts';

/** Image spec § guidance for an empty descriptor: an artifact without a config has this one. */
const EMPTY_CONFIG = Buffer.from('{}');

/**
 * Stores a manifest that refers to an image and has its piece index as its layer: registries remove blobs that no
 * manifest names, and the annotation of the image is no name to them. Repeating it is harmless: it has one digest for
 * one image.
 *
 * @param image that is stored already. @param index the blob, which the repository has.
 * @throws TartletError of the registry client.
 */
export async function storePieceReferrer(
  client: BlobPusher & ManifestTarget,
  image: RawManifest,
  index: BlobIdentity,
  signal: AbortSignal,
): Promise<void> {
  const config = { digest: Digest.of(EMPTY_CONFIG), size: EMPTY_CONFIG.length };
  if (!(await client.blobExists(config, { action: 'push', signal }))) {
    const open = (from: number, to: number): Uint8Array => EMPTY_CONFIG.subarray(from, to);
    await client.uploadBlob({ ...config, open }, { signal });
  }
  const named = (mediaType: string, { digest, size }: BlobIdentity) => ({ mediaType, digest: digest.toString(), size });
  const bytes = canonicalJson({
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    artifactType: MediaType.pieces,
    config: named(MediaType.ociEmpty, config),
    layers: [named(MediaType.pieces, index)],
    subject: named(image.mediaType, { digest: image.digest, size: image.bytes.length }),
  });
  await client.putManifest({ digest: Digest.of(bytes) }, bytes, MediaType.ociManifest, { signal });
}
