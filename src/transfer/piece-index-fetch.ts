import { TartletError } from '../errors.ts';
import type { BlobIdentity } from '../oci/descriptor.ts';
import { PieceIndex } from '../oci/piece-index.ts';
import type { FlatImage } from '../oci/tart-image.ts';
import { BlobVerifier } from '../registry/blobs/blob-verifier.ts';
import type { BlobFetcher } from '../registry/contract.ts';
import { untilVerified } from '../registry/verified-read.ts';

/**
 * Fetches the piece index of an image: in memory, verified, and seen to be of its disk.
 *
 * @returns undefined for an image that names none.
 * @throws TartletError `MANIFEST_INVALID`, `DIGEST_MISMATCH`, `NOT_FOUND` when the registry lost it, and what the
 * fetcher throws. All of it can be read without: by whole layers.
 */
export async function fetchPieceIndex(
  client: BlobFetcher,
  { pieces, base }: FlatImage,
  options: IndexFetchOptions,
): Promise<PieceIndex | undefined> {
  return pieces && PieceIndex.parse(await fetchIndexBytes(client, pieces, options), base);
}

export interface IndexFetchOptions {
  readonly signal: AbortSignal;
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/** The bytes of an index, verified. @throws TartletError as {@link fetchPieceIndex} */
export async function fetchIndexBytes(
  client: BlobFetcher,
  pieces: BlobIdentity,
  options: IndexFetchOptions,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(pieces.size);
  const read = async (): Promise<void> => {
    const verifier = new BlobVerifier(pieces.digest, pieces.size);
    for await (const part of client.blob(pieces, options)) {
      const at = verifier.seen;
      verifier.update(part);
      bytes.set(part, at);
    }
    verifier.verdict();
  };
  await untilVerified(client, pieces, read, () => undefined);
  return bytes;
}

/** Whether an index, or a piece, is not what it should be, or not there: the layers are asked then. */
export function isUnusablePiece(error: unknown): error is TartletError {
  return error instanceof TartletError && UNUSABLE.has(error.code);
}

const UNUSABLE: ReadonlySet<string> = new Set([
  'NOT_FOUND',
  'AUTH_REQUIRED',
  'AUTH_DENIED',
  'DIGEST_MISMATCH',
  'SIZE_MISMATCH',
  'CHUNK_CORRUPT',
  'MANIFEST_INVALID',
]);
