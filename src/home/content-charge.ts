import { lstatSync, realpathSync } from 'node:fs';
import { systemCode } from '../errors.ts';
import type { Digest } from '../names/digest.ts';
import { readStackedManifest } from './content-reference.ts';
import type { ContentStore } from './content-store.ts';
import { diskError } from './disk-error.ts';
import { lastUse, type UseClock } from './last-use.ts';

/** What a stacked image counts for beside the files in its own folder. */
export interface StackedSize {
  /** Bytes of the disk as the guest sees it, where the manifest says so. */
  readonly diskBytes: number | undefined;
  /** Bytes on the disk of the files in the content store that are charged to it. */
  readonly chargedBytes: number;
}

interface Debtor {
  readonly folder: string;
  readonly accessed: Date;
}

/**
 * Shares out the bytes that the content store occupies, so that no file is counted twice: each is charged to the image that was used
 * last of those that name it; of equals, the one with the greater path (tart-formats §4.7). Reads the manifest of each folder; one that
 * cannot be read owes nothing.
 *
 * @param folders of stacked images in the cache.
 * @returns by the very texts of `folders`; several that lead to one folder get the same answer. Those whose manifest names no file of the
 *   store are missing: they are flat images without their disk, or nothing that anybody could use (reliability C25, C29).
 */
export function sizeStackedImages(
  contents: ContentStore,
  folders: readonly string[],
  clock: UseClock,
): ReadonlyMap<string, StackedSize> {
  const real = new Map(folders.flatMap((folder) => placeOf(folder)));
  const debtors = new Map<string, Debtor & { readonly file: Digest }>();
  const diskBytes = new Map<string, number | undefined>();
  for (const folder of new Set(real.values())) {
    const manifest = readStackedManifest(folder);
    const debtor = { folder, accessed: lastUse(folder, clock) ?? new Date(0) };
    if (manifest === undefined || manifest.files.length === 0) continue;
    diskBytes.set(folder, manifest.diskBytes);
    for (const file of manifest.files) {
      const other = debtors.get(file.hex);
      if (other === undefined || isLater(debtor, other)) debtors.set(file.hex, { ...debtor, file });
    }
  }
  const charges = new Map<string, number>();
  for (const { folder, file } of debtors.values()) {
    charges.set(folder, (charges.get(folder) ?? 0) + allocatedBytes(contents.pathOf(file)));
  }
  return new Map(
    [...real]
      .filter(([, at]) => diskBytes.has(at))
      .map(([folder, at]) => [folder, { diskBytes: diskBytes.get(at), chargedBytes: charges.get(at) ?? 0 }]),
  );
}

/** A folder and where it really is; nothing when it went since it was seen. */
function placeOf(folder: string): [string, string][] {
  try {
    return [[folder, realpathSync(folder)]];
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(cause) ?? '')) return [];
    throw diskError(cause, 'look at', folder);
  }
}

function isLater(a: Debtor, b: Debtor): boolean {
  const difference = a.accessed.getTime() - b.accessed.getTime();
  return difference === 0 ? a.folder > b.folder : difference > 0;
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
