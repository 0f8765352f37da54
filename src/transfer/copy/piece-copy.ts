import { isTartletError } from '../../errors.ts';
import { Annotation } from '../../oci/annotation.ts';
import type { BlobIdentity } from '../../oci/descriptor.ts';
import { MediaType } from '../../oci/media-type.ts';
import { parseTartImage } from '../../oci/tart-image.ts';
import type { Session } from '../../session/session.ts';
import type { NamedManifest } from '../manifest-tree.ts';
import { storePieceReferrer } from '../piece-referrer.ts';
import type { BlobCopier, CopyRoute } from './blob-copy.ts';

/**
 * Brings the piece index of an image along, which no manifest of the image names as a blob. The image is whole without
 * it: what goes wrong is told, and keeps no tag from moving.
 *
 * @param node that the target has already.
 * @throws the signal's reason.
 */
export async function copyPieceIndex(
  { signal, emit }: Session,
  copier: BlobCopier,
  { target, subject }: CopyRoute,
  node: NamedManifest,
): Promise<void> {
  const pieces = piecesOf(node, subject);
  if (pieces === undefined) return;
  const { digest, manifest } = node;
  try {
    await copier.copy([{ ...pieces, mediaType: MediaType.pieces, annotations: new Map() }]);
    await storePieceReferrer(target, { digest, bytes: manifest.bytes, mediaType: manifest.mediaType }, pieces, signal);
  } catch (error) {
    if (!isTartletError(error) || signal.aborted) throw error;
    emit({ kind: 'note', subject, text: `the piece index of ${subject} was not copied: ${error.message}` });
  }
}

function piecesOf({ manifest }: NamedManifest, subject: string): BlobIdentity | undefined {
  if (manifest.kind !== 'image' || !manifest.annotations.has(Annotation.piecesDigest)) return undefined;
  try {
    const image = parseTartImage(manifest, subject);
    return image.layout === 'flat' ? image.pieces : undefined;
  } catch (error) {
    // Whatever it is, it is copied as it is.
    if (!isTartletError(error)) throw error;
    return undefined;
  }
}
