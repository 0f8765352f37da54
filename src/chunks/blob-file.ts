import { isTartletError } from '../errors.ts';
import { onDisk } from '../fs/disk-error.ts';
import { createFile } from '../fs/entry.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { BlobVerifier } from '../registry/blobs/blob-verifier.ts';
import type { BlobFetcher } from '../registry/contract.ts';

/** Where blobs come from, a registry or anything else that has some, and the callback that is told. */
export interface FetchRoute {
  readonly client: BlobFetcher;
  readonly signal: AbortSignal;
  /** Bytes that crossed the network just now; negative when they have to again. */
  readonly onBytes: (count: number) => void;
}

/** Fetches a blob that is a file by itself. One that arrives damaged is fetched once more. */
export async function fetchBlobFile(route: FetchRoute, blob: Descriptor, path: string): Promise<void> {
  try {
    await fetchOnce(route, blob, path);
  } catch (error) {
    if (!isTartletError(error, 'DIGEST_MISMATCH', 'SIZE_MISMATCH')) throw error;
    route.onBytes(-blob.size);
    await fetchOnce(route, blob, path);
  }
}

async function fetchOnce({ client, signal, onBytes }: FetchRoute, blob: Descriptor, path: string): Promise<void> {
  const verifier = new BlobVerifier(blob.digest, blob.size);
  const pieces = keepingBlob(client, path).blob(blob, { signal, onBytes, transientChunks: true });
  for await (const piece of pieces) verifier.update(piece);
  verifier.verdict();
}

/** Writes a blob to a file, as it is, while it passes. The caller checks the pieces. */
export function keepingBlob(client: BlobFetcher, path: string): BlobFetcher {
  return {
    blob: async function* blob(descriptor, options) {
      const handle = await onDisk('create', path, async () => createFile(path, 'empty'));
      try {
        let at = 0;
        for await (const piece of client.blob(descriptor, options)) {
          for (let done = 0; done < piece.length; ) {
            const { bytesWritten } = await onDisk('write', path, async () =>
              handle.write(piece, done, piece.length - done, at + done),
            );
            done += bytesWritten;
          }
          at += piece.length;
          yield piece;
        }
      } finally {
        await handle.close();
      }
    },
  };
}
