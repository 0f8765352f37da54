import type { FileHandle } from 'node:fs/promises';
import { TartletError } from '../../errors.ts';
import { onDisk } from '../disk-error.ts';
import { openDisk } from '../plain-file.ts';

/** A part of a file. */
export interface ByteRange {
  /** Bytes from the beginning. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
}

/** @throws TartletError `USAGE` for a range that is not within `size` bytes. */
export function requireWithin({ offset, length }: ByteRange, size: number): void {
  if ([offset, length].every((count) => Number.isSafeInteger(count) && count >= 0) && offset + length <= size) return;
  throw new TartletError('USAGE', `a disk of ${size} bytes has no ${length} bytes at ${offset}`, {
    found: `${offset}+${length}`,
  });
}

/** Opens a disk for {@link readRange}. @throws TartletError `STORE_DAMAGED`, `NOT_FOUND`, `DISK_*` */
export async function openForReading(file: string): Promise<FileHandle> {
  return onDisk('open', file, async () => openDisk(file, 'read'));
}

/** Reads all bytes of a range into `target`. @throws TartletError `DISK_IO` for a file that ends before, `DISK_*` */
export async function readRange(handle: FileHandle, file: string, offset: number, target: Uint8Array): Promise<void> {
  await onDisk('read', file, async () => {
    for (let done = 0; done < target.byteLength; ) {
      const { bytesRead } = await handle.read(target, done, target.byteLength - done, offset + done);
      if (bytesRead === 0) throw new TartletError('DISK_IO', `${file} ended early`, { subject: file });
      done += bytesRead;
    }
  });
}
