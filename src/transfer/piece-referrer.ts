import type { BlobIdentity } from '../oci/descriptor.ts';
import { MediaType } from '../oci/media-type.ts';
import type { RawManifest } from '../registry/client.ts';
import type { BlobPusher, ManifestTarget } from '../registry/contract.ts';
import { storeReferrer } from './referrer.ts';

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
  await storeReferrer(client, image, { ...index, mediaType: MediaType.pieces }, signal);
}
