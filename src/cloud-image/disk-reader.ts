import type { FileHandle } from 'node:fs/promises';

/**
 * Reads bytes of a disk whose structure is not trusted: what lies beyond its end is missing from the answer, and so
 * much is read at most, at once and in all.
 */
export type DiskReader = (at: number, length: number) => Promise<Buffer>;

/** Tables and directories of real images have some KiB. */
const MOST_BYTES = 1024 * 1024;
/** In all: a disk can describe structures without end. */
const BUDGET_BYTES = 32 * MOST_BYTES;
/** What a read costs of that at least. */
const READ_COST_BYTES = 4096;

/** Reads from an open file. The system's own errors come through. */
export function readerOf(file: FileHandle): DiskReader {
  return limitedReader(async (at, length) => {
    const buffer = Buffer.alloc(length);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
    return buffer.subarray(0, bytesRead);
  });
}

/** Reads from whatever gives bytes, within the limits. @param read never asked for what cannot be a place. */
export function limitedReader(read: DiskReader): DiskReader {
  let budget = BUDGET_BYTES;
  return async (at, length) => {
    budget -= Math.max(READ_COST_BYTES, Math.min(length, MOST_BYTES));
    if (budget < 0 || !Number.isSafeInteger(at) || at < 0) return Buffer.alloc(0);
    return read(at, Math.min(length, MOST_BYTES));
  };
}
