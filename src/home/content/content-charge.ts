import type { Digest } from '../../names/digest.ts';
import { readStackedManifest, type StackedManifest } from './content-reference.ts';
import type { ContentStore } from './content-store.ts';
import type { Home } from '../home.ts';
import { lstatIfThereSync, realPathIfThere } from '../../fs/stats.ts';
import { lastUse, type UseClock } from '../last-use.ts';

/** What a stacked image counts for beside the files in its own directory. */
export interface StackedSize {
  /** Bytes of the disk as the guest sees it, where the manifest says so. */
  readonly diskBytes: number | undefined;
  /** Bytes on the disk of the files in the content store that are charged to it. */
  readonly chargedBytes: number;
}

interface Debtor {
  readonly directory: string;
  readonly accessed: Date;
}

/** Where {@link sizeStackedImages} looks. */
export interface ChargePlace {
  readonly home: Home;
  readonly contents: ContentStore;
}

/**
 * Shares out the bytes that the content store occupies, so that no file is counted twice: each is charged to the image
 * that was used last of those that name it; of equals, the one with the greater path (tart-formats §4.7). Reads the
 * manifest of each directory; one that cannot be understood owes nothing, and one that cannot be looked at is passed
 * over.
 *
 * @param directories of stacked images in the cache.
 * @returns by the very texts of `directories`; several that lead to one directory get the same answer. Those whose
 * manifest names no file of the store are missing: they are flat images without their disk, or nothing that any command
 * could use (reliability C25, C29).
 */
export function sizeStackedImages(
  { home, contents }: ChargePlace,
  directories: readonly string[],
  clock: UseClock,
): ReadonlyMap<string, StackedSize> {
  const real = new Map(
    directories.flatMap((directory) => home.unreadable.passOver(directory, () => placeOf(directory)) ?? []),
  );
  const debtors = new Map<string, Debtor & { readonly file: Digest }>();
  const diskBytes = new Map<string, number | undefined>();
  for (const directory of new Set(real.values())) {
    const debtor = home.unreadable.passOver(directory, () => debtorOf(directory, clock));
    if (debtor === undefined || debtor.manifest.files.length === 0) continue;
    const { manifest } = debtor;
    diskBytes.set(directory, manifest.diskBytes);
    for (const file of manifest.files) {
      const other = debtors.get(file.hex);
      if (other === undefined || isLater(debtor, other)) {
        debtors.set(file.hex, { directory, accessed: debtor.accessed, file });
      }
    }
  }
  const charges = new Map<string, number>();
  for (const { directory, file } of debtors.values()) {
    const at = contents.pathOf(file);
    const bytes = home.unreadable.passOver(at, () => allocatedBytes(at)) ?? 0;
    charges.set(directory, (charges.get(directory) ?? 0) + bytes);
  }
  return new Map(
    [...real]
      .filter(([, at]) => diskBytes.has(at))
      .map(([directory, at]) => [directory, { diskBytes: diskBytes.get(at), chargedBytes: charges.get(at) ?? 0 }]),
  );
}

function debtorOf(directory: string, clock: UseClock): (Debtor & { readonly manifest: StackedManifest }) | undefined {
  const manifest = readStackedManifest(directory);
  return manifest === undefined
    ? undefined
    : { directory, manifest, accessed: lastUse(directory, clock) ?? new Date(0) };
}

/** A directory and where it really is; nothing when it went since it was seen. */
function placeOf(directory: string): [string, string][] {
  const real = realPathIfThere(directory);
  return real === undefined ? [] : [[directory, real]];
}

function isLater(a: Debtor, b: Debtor): boolean {
  const difference = a.accessed.getTime() - b.accessed.getTime();
  return difference === 0 ? a.directory > b.directory : difference > 0;
}

/** A file that is missing occupies nothing. */
function allocatedBytes(file: string): number {
  const stats = lstatIfThereSync(file);
  return stats?.isFile() === true ? stats.blocks * 512 : 0;
}
