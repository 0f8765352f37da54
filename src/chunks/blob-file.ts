import { onDisk } from '../fs/disk-error.ts';
import { createFile } from '../fs/entry.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { BlobVerifier } from '../registry/blobs/blob-verifier.ts';
import { untilVerified } from '../registry/verified-read.ts';
import type { BlobFetcher } from '../registry/contract.ts';

/** Where blobs come from, a registry or anything else that has some, and the callback that is told. */
export interface FetchRoute {
  readonly client: BlobFetcher;
  readonly signal: AbortSignal;
  /** Bytes that crossed the network just now; negative when they have to again. */
  readonly onBytes: (count: number) => void;
}

/** Fetches a blob that is a file by itself. One that arrives damaged is fetched again: see {@link untilVerified}. */
export async function fetchBlobFile(route: FetchRoute, blob: Descriptor, path: string): Promise<void> {
  await untilVerified(
    route.client,
    blob,
    async () => fetchOnce(route, blob, path),
    () => route.onBytes(-blob.size),
  );
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
    distrust: (blob) => client.distrust?.(blob) ?? false,
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
