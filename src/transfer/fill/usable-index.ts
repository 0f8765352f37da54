import type { FetchRoute } from '../../chunks/blob-file.ts';
import { describeError, isTartletError } from '../../errors.ts';
import type { PieceIndex } from '../../oci/piece-index.ts';
import type { FlatImage } from '../../oci/tart-image.ts';
import type { Session } from '../../session/session.ts';
import { fetchPieceIndex, isUnusablePiece } from '../piece-index-fetch.ts';
import type { Patience } from './patience.ts';

export interface UsableIndexOptions {
  /** The image, for events. */
  readonly subject: string;
  readonly image: FlatImage;
  readonly route: FetchRoute;
  /** What is done about a network that is away. Default: without the index it goes on as well. */
  readonly patience: Patience | undefined;
}

/**
 * The piece index of an image, for a pull that can do without.
 *
 * @returns undefined where there is none, and where it cannot be used, which is told.
 * @throws the signal's reason, and what only a new beginning of the work can mend.
 */
export async function usableIndex(
  { emit }: Pick<Session, 'emit'>,
  { subject, image, route, patience }: UsableIndexOptions,
): Promise<PieceIndex | undefined> {
  const { client, signal, onBytes } = route;
  let index: PieceIndex | undefined;
  const fetch = async (): Promise<void> => {
    try {
      index = await fetchPieceIndex(client, image, { signal, onBytes });
    } catch (error) {
      signal.throwIfAborted();
      // Layers would not come either.
      const isPassing = !isUnusablePiece(error) || isTartletError(error, 'AUTH_REQUIRED', 'AUTH_DENIED');
      if (patience !== undefined && isPassing) throw error;
      const text = `${subject}: the piece index cannot be used (${describeError(error)}): layers come as a whole`;
      emit({ kind: 'note', subject, text });
    }
  };
  const name = image.pieces?.digest.toString() ?? '';
  await (patience === undefined ? fetch() : patience.untilDone(name, fetch, { client, signal }));
  return index;
}
