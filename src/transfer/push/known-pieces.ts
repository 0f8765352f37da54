import type { Repository } from '../../names/repository.ts';
import type { PieceIndex } from '../../oci/piece-index.ts';
import type { TartImage } from '../../oci/tart-image.ts';
import type { BlobFetcher, RepositoryPlace } from '../../registry/contract.ts';
import type { KnownBlob, KnownBlobs } from '../known-blob.ts';
import { fetchPieceIndex, isUnusablePiece } from '../piece-index-fetch.ts';

/** Where piece indexes of earlier pushes are read. */
export interface PieceIndexSource extends BlobFetcher, RepositoryPlace {
  /** Another repository of the same registry. */
  sibling(repository: Repository): PieceIndexSource;
}

/**
 * Those of the blobs that were encoded in pieces, with the entries of their index. The others hold the same contents,
 * but an image that names them could not be read piece by piece there: they are encoded again.
 *
 * @param client of the repository that is pushed to; asked first.
 * @throws TartletError of a network that fails. An index that is not there any more is none.
 */
export async function onlyInPieces(
  client: PieceIndexSource,
  known: KnownBlobs,
  signal: AbortSignal,
): Promise<Map<string, KnownBlob & { readonly entries: Uint8Array }>> {
  const indexes = new Map<TartImage, PieceIndex | undefined>();
  const found = new Map<string, KnownBlob & { readonly entries: Uint8Array }>();
  for (const [content, blob] of known) {
    if (!indexes.has(blob.image)) indexes.set(blob.image, await indexOf(client, blob, signal));
    const entries = indexes.get(blob.image)?.of(blob.chunk)?.entries;
    if (entries !== undefined) found.set(content, { ...blob, entries });
  }
  return found;
}

async function indexOf(
  client: PieceIndexSource,
  { image, from }: KnownBlob,
  signal: AbortSignal,
): Promise<PieceIndex | undefined> {
  if (image.layout !== 'flat' || image.pieces === undefined) return undefined;
  const others = from
    .filter(({ registry, repository }) => registry.equals(client.registry) && !repository.equals(client.repository))
    .map(({ repository }) => [repository.text, client.sibling(repository)] as const);
  for (const source of [client, ...new Map(others).values()]) {
    try {
      return await fetchPieceIndex(source, image, { signal });
    } catch (error) {
      if (!isUnusablePiece(error)) throw error;
    }
  }
  return undefined;
}
