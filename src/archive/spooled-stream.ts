import { dirname } from 'node:path';
import { addAbortSignal, type Readable } from 'node:stream';
import { diskError, onDisk } from '../fs/disk-error.ts';
import { createFile } from '../fs/entry.ts';
import { modeIn } from '../fs/sharing.ts';
import { MAGIC_BYTES, refuseOtherKinds } from './archive-kind.ts';

/**
 * Writes a stream to a file, because an archive must be read twice: its index may come last. A stream of another kind
 * is refused after its first bytes, not after all of it has been written.
 *
 * @param archive what messages call it.
 * @throws TartletError `MEDIA_UNSUPPORTED`, `DISK_*`
 */
export async function spoolStream(stream: Readable, archive: string, file: string, signal: AbortSignal): Promise<void> {
  const handle = await onDisk('create', file, async () =>
    createFile(file, 'refuse', await modeIn(dirname(file), 0o600)),
  );
  try {
    let head: Buffer | undefined = Buffer.alloc(0);
    for await (const piece of piecesOf(stream, archive, signal)) {
      if (head !== undefined) {
        head = Buffer.concat([head, piece.subarray(0, MAGIC_BYTES)]);
        if (head.length >= MAGIC_BYTES) {
          refuseOtherKinds(archive, head.subarray(0, MAGIC_BYTES));
          head = undefined;
        }
      }
      await onDisk('write', file, async () => {
        for (let done = 0; done < piece.length; ) done += (await handle.write(piece, done)).bytesWritten;
      });
    }
    if (head !== undefined) refuseOtherKinds(archive, head);
  } finally {
    await handle.close();
  }
}

/** An abort ends it also while nothing comes; any other failure says which stream it was. */
async function* piecesOf(stream: Readable, archive: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* addAbortSignal(signal, stream) as AsyncIterable<Uint8Array>;
  } catch (cause) {
    signal.throwIfAborted();
    throw diskError(cause, 'read', archive);
  }
}
