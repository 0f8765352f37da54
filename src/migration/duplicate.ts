import { lstat } from 'node:fs/promises';
import { readStackedManifest } from '../home/content/content-reference.ts';
import { readSmallFileIfThere } from '../fs/small-file.ts';
import { isSuspended, lookAtVmDirectory, VmFile, type VmDirectory } from '../home/vm-directory.ts';

/** What to do when an image is at the place that another directory of the same digest should get. */
export type DuplicateChoice =
  /** The one that is there is whole, and this one is proved to be the same: it may go. */
  | 'drop'
  /** The one that is there is whole; this one is not, or might be another. */
  | 'quarantine'
  /** The one that is there lacks files, this one does not. */
  | 'replace';

/** @param arriving the directory that wants the place of `there`. */
export async function chooseDuplicate(arriving: string, there: string): Promise<DuplicateChoice> {
  const whole = { arriving: wholeImage(arriving), there: wholeImage(there) };
  if (whole.there === undefined) return whole.arriving === undefined ? 'quarantine' : 'replace';
  if (whole.arriving === undefined) return 'quarantine';
  return (await areEqual(whole.arriving, whole.there)) ? 'drop' : 'quarantine';
}

/** A flat image without its disk looks like a stacked one: only the manifest tells that there is nothing to stack. */
function wholeImage(directory: string): VmDirectory | undefined {
  const look = lookAtVmDirectory(directory);
  if (look?.layout !== 'stacked-cached') return look;
  return (readStackedManifest(directory)?.files.length ?? 0) > 0 ? look : undefined;
}

/**
 * Whether two whole images are surely the same: the small files byte by byte, the manifest among them, which says what
 * the disk must be; the disk by its length. Without a manifest nothing is sure, since some Tarts named directories by a
 * digest of their own (tart-formats §1.4).
 */
async function areEqual(one: VmDirectory, other: VmDirectory): Promise<boolean> {
  if (one.layout !== other.layout || isSuspended(one) || isSuspended(other)) return false;
  for (const file of [VmFile.manifest, VmFile.config, VmFile.nvram]) {
    const [first, second] = [
      await readSmallFileIfThere(`${one.path}/${file}`),
      await readSmallFileIfThere(`${other.path}/${file}`),
    ];
    if (first === undefined || second === undefined || !first.equals(second)) return false;
  }
  return one.logicalBytes === other.logicalBytes;
}

/** Whether two paths are one directory: file systems that ignore case have `Example.com` and `example.com` in one. */
export async function areSameDirectory(one: string, other: string): Promise<boolean> {
  try {
    const [first, second] = [await lstat(one), await lstat(other)];
    return first.ino === second.ino && first.dev === second.dev;
  } catch {
    return false; // One of them is not there.
  }
}
