import * as v from 'valibot';
import { isTartletError } from '../errors.ts';
import { onDisk } from '../fs/disk-error.ts';
import { moveEntry } from '../fs/entry.ts';
import { fsyncDirectory, writeNewFile } from '../fs/fsync.ts';
import { removeEntry } from '../fs/remove.ts';
import { readSmallFileIfThereSync } from '../fs/small-file.ts';
import { parseRecord } from '../json/record.ts';
import { LazyFile } from './home-entry.ts';

const lazyRecord = v.object({
  version: v.literal(1),
  /** Registry, repository and digest of the image that the disk is of. */
  image: v.string(),
  /** Whether that registry is spoken to by plain HTTP. */
  insecure: v.boolean(),
  /** Bytes of the disk. */
  diskBytes: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  /** The name that was asked for, with its tag if it had one; absent in records of before it was kept. */
  asked: v.optional(v.string()),
});

/** What a VM whose disk has not arrived yet begins as. */
export type LazyRecord = v.InferOutput<typeof lazyRecord>;

/** @returns undefined where there is none, or none that can be understood: the directory holds no VM then. */
export function readLazyRecord(directory: string): LazyRecord | undefined {
  try {
    return parseRecord(lazyRecord, readSmallFileIfThereSync(`${directory}/${LazyFile.record}`)?.toString());
  } catch (error) {
    if (isTartletError(error, 'STORE_DAMAGED')) return undefined;
    throw error;
  }
}

/** Writes the record into a directory that is not published yet. */
export async function writeLazyRecord(directory: string, record: LazyRecord): Promise<void> {
  await writeNewFile(`${directory}/${LazyFile.record}`, serialize(record));
}

/** Replaces the record of a VM, as one durable step. @throws TartletError `DISK_*` */
export async function replaceLazyRecord(directory: string, record: LazyRecord): Promise<void> {
  const file = `${directory}/${LazyFile.record}`;
  // One of another user cannot be written to, and can be replaced.
  await removeEntry(`${file}.new`);
  await writeNewFile(`${file}.new`, serialize(record));
  await onDisk('move into place', file, async () => moveEntry(`${file}.new`, file));
  await fsyncDirectory(directory);
}

function serialize(record: LazyRecord): string {
  return `${JSON.stringify(record, undefined, 2)}\n`;
}
