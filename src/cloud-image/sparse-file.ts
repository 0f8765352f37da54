import { isZero } from '../codec/zero.ts';
import { TartletError } from '../errors.ts';
import { onDisk } from '../fs/disk-error.ts';
import { createFile } from '../fs/entry.ts';
import { humanBytes } from '../names/byte-count.ts';

const BLOCK_BYTES = 64 * 1024;

/** What an image may have beside the content of its disk, in bytes. */
const TABLES_BYTES = 64 * 1024 * 1024;

/**
 * Writes what comes to a new file, and zeros as holes.
 *
 * @param diskBytes most that the disk in it may have: a few bytes that are packed can become any number.
 * @param name of the image, for messages.
 * @returns how many there were.
 * @throws TartletError `SIZE_MISMATCH` beyond the limit, `DISK_*`, and what `pieces` throws.
 */
export async function writeSparsely(
  file: string,
  pieces: AsyncIterable<Uint8Array>,
  { diskBytes, name }: { readonly diskBytes: number; readonly name: string },
): Promise<number> {
  const handle = await onDisk('create', file, async () => createFile(file, 'refuse'));
  try {
    let size = 0;
    for await (const piece of pieces) {
      refuseTooLarge(size + piece.length, diskBytes, name);
      const from = size;
      await onDisk('write', file, async () => {
        for (let at = 0; at < piece.length; at += BLOCK_BYTES) {
          const block = piece.subarray(at, at + BLOCK_BYTES);
          if (isZero(block)) continue;
          for (let done = 0; done < block.length; ) {
            done += (await handle.write(block, done, block.length - done, from + at + done)).bytesWritten;
          }
        }
      });
      size += piece.length;
    }
    await onDisk('write', file, async () => handle.truncate(size));
    return size;
  } finally {
    await handle.close();
  }
}

/**
 * For bytes of an image as they come.
 * @throws TartletError `SIZE_MISMATCH` when there are more of them than a disk and all about it can have.
 */
export function refuseTooLarge(bytes: number, diskBytes: number, name: string): void {
  if (bytes > diskBytes + TABLES_BYTES) throw tooLarge(name, diskBytes);
}

/** An image whose disk does not fit into the one that was asked for. @param limit in bytes. */
export function tooLarge(name: string, limit: number): TartletError {
  return new TartletError('SIZE_MISMATCH', `the disk of ${name} is larger than ${humanBytes(limit, 1)}`, {
    subject: name,
    kept: 'nothing was made',
    expected: String(limit),
    next: { kind: 'give-larger-disk' },
  });
}
