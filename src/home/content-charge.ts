import { lstatSync } from 'node:fs';
import { systemCode } from '../errors.ts';
import type { Digest } from '../names/digest.ts';
import type { ContentStore } from './content-store.ts';
import { diskError } from './disk-error.ts';

/** A stacked image in the cache, as a debtor of the content store. */
export interface StackedRecord {
  /** Its folder. */
  readonly path: string;
  readonly accessed: Date;
  readonly files: readonly Digest[];
}

/**
 * Shares out the bytes that the content store occupies, so that no file is counted twice: each is charged to the image that was used
 * last of those that name it; of equals, the one with the greater path (tart-formats §4.7).
 *
 * @returns bytes on the disk, by the folder of the image.
 */
export function chargeContent(contents: ContentStore, records: readonly StackedRecord[]): ReadonlyMap<string, number> {
  const debtors = new Map<string, { readonly file: Digest; readonly record: StackedRecord }>();
  for (const record of records) {
    for (const file of record.files) {
      const other = debtors.get(file.hex)?.record;
      if (other === undefined || isLater(record, other)) debtors.set(file.hex, { file, record });
    }
  }
  const charges = new Map<string, number>();
  for (const { file, record } of debtors.values()) {
    charges.set(record.path, (charges.get(record.path) ?? 0) + allocatedBytes(contents.pathOf(file)));
  }
  return charges;
}

function isLater(a: StackedRecord, b: StackedRecord): boolean {
  const difference = a.accessed.getTime() - b.accessed.getTime();
  return difference === 0 ? a.path > b.path : difference > 0;
}

/** A file that is missing occupies nothing. */
function allocatedBytes(file: string): number {
  try {
    const stats = lstatSync(file, { throwIfNoEntry: false });
    return stats?.isFile() === true ? stats.blocks * 512 : 0;
  } catch (cause) {
    if (systemCode(cause) === 'ENOTDIR') return 0;
    throw diskError(cause, 'look at', file);
  }
}
