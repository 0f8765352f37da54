import { contentReferences, readStackedManifest } from '../content/content-reference.ts';
import type { ContentStore } from '../content/content-store.ts';
import type { Home } from '../home.ts';
import { sharedBlockBytes } from '../../fs/disk/shared-block.ts';
import { lstatIfThereSync } from '../../fs/stats.ts';
import { LazyFile } from '../home-entry.ts';
import { lookAtLocalVm, VmFile } from '../vm-directory.ts';

/** What an image or a VM occupies, in bytes. */
export interface Footprint {
  /** Of its files as they look, holes included; of a stacked disk, all files that it consists of. */
  readonly logicalBytes: number;
  /** Of the disk blocks that its files have. */
  readonly allocatedBytes: number;
  /**
   * Those of {@link allocatedBytes} that others have too: by the content store, by hard links, by reflinks. Undefined
   * where the file system does not tell.
   */
  readonly sharedBytes: number | undefined;
  /** What deleting it, and nothing else, would make free. */
  readonly reclaimableBytes: number | undefined;
}

/** Where {@link measureDirectory} looks for what else needs a file. */
export interface FootprintPlace {
  readonly home: Home;
  readonly contents: ContentStore;
}

/**
 * @returns nothing but zeros for what is no VM directory. @throws TartletError `DISK_*` when something of it cannot be
 * looked at.
 */
export async function measureDirectory(place: FootprintPlace, path: string): Promise<Footprint> {
  const directory = lookAtLocalVm(path);
  if (directory === undefined) return EMPTY;
  // Not listed: where access times are the only record of use, a listing would look like one.
  const isLazy = directory.layout === 'lazy';
  const names = [...Object.values(VmFile), ...(isLazy ? Object.values(LazyFile) : [])];
  const own = names.map((name) => `${directory.path}/${name}`);
  const stored = directory.layout === 'standalone' ? [] : (readStackedManifest(directory.path)?.files ?? []);
  const others = stored.length === 0 ? undefined : contentReferences(place.home, directory.path);
  const files = [
    ...own.map((file) => ({ file, isNeeded: false })),
    // It stays when the VM goes.
    ...(directory.linkedDisk === undefined ? [] : [{ file: directory.linkedDisk, isNeeded: true }]),
    // When it cannot be told what needs a file, it will not be deleted either.
    ...stored.map((digest) => ({
      file: place.contents.pathOf(digest),
      isNeeded: others?.kind === 'unknown' || others?.digests.has(digest.hex) === true,
    })),
  ];
  const all = sum(await Promise.all(files.map(async ({ file, isNeeded }) => measureFile(file, isNeeded))));
  // What is there of its disk does not look as large as the disk.
  return isLazy ? { ...all, logicalBytes: directory.logicalBytes } : all;
}

/**
 * What is not there, or goes while it is measured, has no bytes (P34).
 * @param isNeeded something else refers to it by its name, so that it stays.
 */
export async function measureFile(file: string, isNeeded = false): Promise<Footprint> {
  try {
    return await measure(file, isNeeded);
  } catch (error) {
    if (lstatIfThereSync(file) === undefined) return EMPTY;
    throw error;
  }
}

async function measure(file: string, isNeeded: boolean): Promise<Footprint> {
  const stats = lstatIfThereSync(file);
  if (stats?.isFile() !== true) return EMPTY;
  const allocatedBytes = stats.blocks * 512;
  const isWholeShared = isNeeded || stats.nlink > 1;
  const sharedBytes = isWholeShared ? allocatedBytes : await sharedBlocks(file, allocatedBytes);
  const reclaimableBytes = sharedBytes === undefined ? undefined : allocatedBytes - sharedBytes;
  return { logicalBytes: stats.size, allocatedBytes, sharedBytes, reclaimableBytes };
}

const EMPTY: Footprint = { logicalBytes: 0, allocatedBytes: 0, sharedBytes: 0, reclaimableBytes: 0 };

async function sharedBlocks(file: string, allocatedBytes: number): Promise<number | undefined> {
  if (allocatedBytes === 0) return 0;
  const shared = await sharedBlockBytes(file);
  return shared === undefined ? undefined : Math.min(shared, allocatedBytes);
}

/** What is unknown of a part is unknown of the whole. */
function sum(parts: readonly Footprint[]): Footprint {
  return parts.reduce(
    (all, part) => ({
      logicalBytes: all.logicalBytes + part.logicalBytes,
      allocatedBytes: all.allocatedBytes + part.allocatedBytes,
      sharedBytes: plus(all.sharedBytes, part.sharedBytes),
      reclaimableBytes: plus(all.reclaimableBytes, part.reclaimableBytes),
    }),
    EMPTY,
  );
}

function plus(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a + b;
}
