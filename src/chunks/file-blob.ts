import { onDisk } from '../fs/disk-error.ts';
import { openDisk } from '../fs/plain-file.ts';
import type { BlobFetcher } from '../registry/contract.ts';
import { PIECE_BYTES, readWindow } from './disk-window.ts';
import { diskChanged } from './still-disk.ts';

/** An extent of a file on this machine, in bytes: a whole file, or an entry of a tar file. */
export interface FileExtent {
  readonly path: string;
  readonly offset: number;
  readonly size: number;
}

/** An extent of a file in the place of a registry that has one blob. */
export function clientOfFile({ path, offset, size }: FileExtent): BlobFetcher {
  return {
    blob: async function* blob(_descriptor, { signal, onBytes } = {}) {
      for await (const piece of readWindow(path, offset, size, signal ?? new AbortController().signal)) {
        onBytes?.(piece.length);
        yield piece;
      }
    },
  };
}

/**
 * The bytes `[from, to)` of a file, to be sent; none of an empty extent, for which Node has no stream.
 * @throws TartletError `DISK_*`; `CHUNK_CORRUPT` when the file has become shorter. Both are final: no fault of the
 * network.
 */
export async function* fileBytes(path: string, from: number, to: number): AsyncGenerator<Uint8Array, void, undefined> {
  if (to <= from) return;
  const file = await onDisk('read', path, async () => openDisk(path));
  const stream = file.createReadStream({ start: from, end: to - 1, highWaterMark: PIECE_BYTES });
  const pieces = stream[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  let left = to - from;
  try {
    for (;;) {
      const next = await onDisk('read', path, async () => pieces.next());
      if (next.done === true) break;
      left -= next.value.length;
      yield next.value;
    }
  } finally {
    stream.destroy();
  }
  if (left > 0) throw diskChanged(path, 'push', 'no tag was moved');
}
