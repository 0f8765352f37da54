import type { Digest } from '../../names/digest.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import type { RawManifest } from '../../registry/client.ts';
import { BlobCopier, type CopyRoute } from './blob-copy.ts';
import { copyPieceIndex } from './piece-copy.ts';
import { tellingKept } from '../kept-blobs.ts';
import { moveTags, storeManifest } from '../manifest-store.ts';
import { blobsOf, type NamedManifest } from '../manifest-tree.ts';
import type { Session } from '../../session/session.ts';

/**
 * Copies an image byte for byte: blobs, then manifests by digest, children first, then the tags. A copy that fails
 * leaves every tag where it was.
 *
 * @param tree as {@link manifestTree} gives it: the last one is what the names will lead to.
 * @param names all of the target's repository.
 * @returns bytes of blobs that were uploaded.
 */
export async function copyTree(
  session: Session,
  route: CopyRoute,
  tree: readonly NamedManifest[],
  names: readonly RemoteName[],
): Promise<number> {
  const copier = new BlobCopier(session, route);
  const { source, target } = route;
  const isOneRepository = source.registry.equals(target.registry) && source.repository.equals(target.repository);
  if (!isOneRepository) {
    const blobs = tree.flatMap(({ manifest }) => blobsOf(manifest));
    await tellingKept(
      session.signal,
      () => copier.kept,
      async () => copier.copy(blobs),
    );
  }
  for (const node of tree) {
    await storeManifest(target, toStore(node), session.signal, async (unknown) => {
      await copier.copyAgain(suspects(node, unknown));
      return toStore(node);
    });
    if (!isOneRepository) await copyPieceIndex(session, copier, route, node);
  }
  const root = tree.at(-1);
  if (root !== undefined) await moveTags(target, names, toStore(root), session.signal);
  return copier.sentBytes;
}

function toStore({ digest, manifest }: NamedManifest): RawManifest {
  return { digest, bytes: manifest.bytes, mediaType: manifest.mediaType };
}

/** The blobs of a manifest that the registry named; all of them when it did not say which. */
function suspects({ manifest }: NamedManifest, unknown: readonly Digest[]) {
  const blobs = [...new Map(blobsOf(manifest).map((blob) => [blob.digest.toString(), blob])).values()];
  const named = blobs.filter(({ digest }) => unknown.some((each) => each.equals(digest)));
  return named.length > 0 ? named : blobs;
}
