import { isTartletError, TartletError } from '../../errors.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import { type IndexEntry, type IndexManifest, isImageEntry, listEntries } from '../../oci/manifest.ts';
import { vmLayout } from '../../oci/tart-image.ts';
import type { RawManifest } from '../../registry/client.ts';
import type { ManifestSource } from '../../registry/contract.ts';
import { readChild } from '../manifest-tree.ts';

/** More manifests than this are not looked into: indexes of VM images name one or two. */
const MAX_LOOKED_AT = 16;

interface Choice {
  readonly entry: IndexEntry;
  readonly raw: RawManifest;
}

/**
 * The one VM image of an index, as `oras` and `docker manifest create` make it around an image of Tart. Tart itself
 * neither makes nor understands an index, so that nothing is guessed: where there are two VM images, or none, the whole
 * list is told.
 *
 * What the entries say of their platform is not asked: it is whatever a pusher wrote, and any VM image can be kept
 * here. What counts is that a manifest has layers of Tart.
 *
 * @param accept which images will do.
 * @returns the manifest, verified by the digest and the size that the index gives it.
 * @throws TartletError `MEDIA_UNSUPPORTED`, and those of the registry client.
 */
export async function onlyVmImage(
  client: ManifestSource,
  index: IndexManifest,
  name: RemoteName,
  accept: 'any' | 'flat',
  signal: AbortSignal,
): Promise<RawManifest> {
  const found: Choice[] = [];
  const entries = index.manifests.filter(isImageEntry);
  for (const entry of entries.length > MAX_LOOKED_AT ? [] : entries) {
    const raw = await vmManifest(client, entry, name, accept, signal);
    if (raw !== undefined) found.push({ entry, raw });
  }
  const [only, another] = found;
  if (only !== undefined && another === undefined) return only.raw;
  throw only === undefined ? noVmImage(index, name) : severalVmImages(found, only, name);
}

/**
 * The manifest of an entry, when it is of a VM image that will do. A mirror that left some of an index out is no fault.
 */
async function vmManifest(
  client: ManifestSource,
  entry: IndexEntry,
  name: RemoteName,
  accept: 'any' | 'flat',
  signal: AbortSignal,
): Promise<RawManifest | undefined> {
  try {
    const { raw, manifest } = await readChild(client, entry, name.toString(), signal);
    const layout = manifest.kind === 'image' ? vmLayout(manifest) : undefined;
    return layout === 'flat' || (layout === 'stacked' && accept === 'any') ? raw : undefined;
  } catch (error) {
    if (isTartletError(error, 'NOT_FOUND')) return undefined;
    throw error;
  }
}

function noVmImage(index: IndexManifest, name: RemoteName): TartletError {
  const subject = name.toString();
  const isLong = index.manifests.filter(isImageEntry).length > MAX_LOOKED_AT;
  const what = isLong ? 'is an index of many images' : 'is an image index without a VM image';
  return new TartletError('MEDIA_UNSUPPORTED', `${subject} ${what}; it offers ${listEntries(index.manifests)}`, {
    subject,
    next: isLong ? { kind: 'name-vm-image-by-digest', repository: name.repositoryName } : { kind: 'is-no-vm-image' },
  });
}

function severalVmImages(found: readonly Choice[], { entry }: Choice, name: RemoteName): TartletError {
  const subject = name.toString();
  const list = listEntries(found.map((choice) => choice.entry));
  return new TartletError('MEDIA_UNSUPPORTED', `${subject} is an image index of ${found.length} VM images: ${list}`, {
    subject,
    next: { kind: 'choose-by-digest', example: name.withDigest(entry.digest).toString() },
  });
}
