import { TartletError } from '../errors.ts';
import type { Digest } from '../names/digest.ts';
import type { RemoteName } from '../names/remote-name.ts';
import { BlobsUnknownError } from '../registry/blobs-unknown.ts';
import type { RawManifest } from '../registry/client.ts';
import type { ManifestTarget } from '../registry/contract.ts';

/**
 * Brings blobs that a registry turned out not to have; `unknown` are those that it named, which may be none.
 * @returns the manifest to store after that.
 */
export type Repair = (unknown: readonly Digest[]) => Promise<RawManifest>;

/**
 * Refuses digest names that what is going to be stored will not have.
 * @throws TartletError `DIGEST_MISMATCH`
 */
export function requireDigest(names: readonly RemoteName[], digest: Digest, kept: string): void {
  for (const name of names) {
    if (name.digest === undefined || name.digest.equals(digest)) continue;
    throw new TartletError(
      'DIGEST_MISMATCH',
      `what was to be stored is not ${name.toString()} but ${digest.toString()}`,
      {
        subject: name.toString(),
        expected: name.digest.toString(),
        found: digest.toString(),
        kept,
        next: { kind: 'store-under-tag' },
      },
    );
  }
}

/**
 * Stores a manifest by its digest. When the registry then says that it lacks blobs which it said it had, they are
 * repaired, and the manifest is sent once more (reliability Q16).
 *
 * @returns what was stored.
 */
export async function storeManifest(
  client: ManifestTarget,
  manifest: RawManifest,
  signal: AbortSignal,
  repair: Repair,
): Promise<RawManifest> {
  const put = async ({ digest, bytes, mediaType }: RawManifest): Promise<void> =>
    client.putManifest({ digest }, bytes, mediaType, { signal });
  try {
    await put(manifest);
    return manifest;
  } catch (error) {
    if (!(error instanceof BlobsUnknownError)) throw error;
    const repaired = await repair(error.blobs);
    await put(repaired);
    return repaired;
  }
}

/**
 * Lets the tags of these names lead to a manifest that is stored. Last of all, because from here on others see it
 * (reliability I11).
 */
export async function moveTags(
  client: ManifestTarget,
  names: readonly RemoteName[],
  { bytes, mediaType }: RawManifest,
  signal: AbortSignal,
): Promise<void> {
  const tags = new Map(names.flatMap(({ tag }) => (tag === undefined ? [] : [[tag.text, tag]])));
  for (const tag of tags.values()) {
    await client.putManifest({ tag }, bytes, mediaType, { signal });
  }
}
