import type { FetchRoute } from '../../chunks/blob-file.ts';
import { describeError, isTartletError } from '../../errors.ts';
import { writeNewFile } from '../../fs/fsync.ts';
import { unlessUnusable } from '../../fs/own-file.ts';
import { removeEntry } from '../../fs/remove.ts';
import { readSmallFileIfThere } from '../../fs/small-file.ts';
import { StagingEntry } from '../../home/home-entry.ts';
import type { Staging } from '../../home/staging.ts';
import { Digest } from '../../names/digest.ts';
import type { BlobIdentity } from '../../oci/descriptor.ts';
import { PieceIndex } from '../../oci/piece-index.ts';
import type { FlatImage } from '../../oci/tart-image.ts';
import type { Session } from '../../session/session.ts';
import { fetchIndexBytes, isUnusablePiece } from '../piece-index-fetch.ts';
import type { Patience } from './patience.ts';

export interface UsableIndexOptions {
  /** The image, for events. */
  readonly subject: string;
  readonly image: FlatImage;
  readonly route: FetchRoute;
  /** Where the disk is put together: there an index is kept for the pull that goes on. */
  readonly staging: Staging;
  /** What is done about a network that is away. Default: without the index it goes on as well. */
  readonly patience: Patience | undefined;
}

/**
 * The piece index of an image, for a pull that can do without: that which an earlier pull has kept, or that of the
 * registry. Pieces that came by it are hashed by it again, and without it layers would come over them.
 *
 * @returns undefined where there is none, and where it cannot be used, which is told.
 * @throws the signal's reason, and what only a new beginning of the work can mend.
 */
export async function usableIndex(
  { emit }: Pick<Session, 'emit'>,
  { subject, image, route, staging, patience }: UsableIndexOptions,
): Promise<PieceIndex | undefined> {
  const { client, signal, onBytes } = route;
  const { pieces, base } = image;
  if (pieces === undefined) return undefined;
  const kept = await keptIndex(staging, pieces);
  let index: PieceIndex | undefined;
  const fetch = async (): Promise<void> => {
    try {
      const bytes = kept ?? (await fetchIndexBytes(client, pieces, { signal, onBytes }));
      index = PieceIndex.parse(bytes, base);
      if (kept === undefined) await keepIndex(staging, bytes);
    } catch (error) {
      signal.throwIfAborted();
      // Layers would not come either.
      const isPassing = !isUnusablePiece(error) || isTartletError(error, 'AUTH_REQUIRED', 'AUTH_DENIED');
      if (patience !== undefined && isPassing) throw error;
      const text = `${subject}: the piece index cannot be used (${describeError(error)}): layers come as a whole`;
      emit({ kind: 'note', subject, text });
    }
  };
  const name = pieces.digest.toString();
  await (patience === undefined ? fetch() : patience.untilDone(name, fetch, { client, signal }));
  return index;
}

/** @returns undefined where there is none, or another one. */
async function keptIndex(staging: Staging, { digest, size }: BlobIdentity): Promise<Uint8Array | undefined> {
  const bytes = await unlessUnusable(async () => readSmallFileIfThere(staging.pathOf(StagingEntry.pieces), size));
  return bytes !== undefined && Digest.of(bytes, digest.algorithm).equals(digest) ? bytes : undefined;
}

async function keepIndex(staging: Staging, bytes: Uint8Array): Promise<void> {
  // Without it, the next pull asks the registry: no reason to fail now, when the disk is full for instance.
  await unlessUnusable(async () => {
    const file = staging.pathOf(StagingEntry.pieces);
    await removeEntry(file);
    await writeNewFile(file, bytes);
  });
}
