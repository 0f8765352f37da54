import { isTartletError } from '../../errors.ts';
import { lstatIfThere } from '../../fs/stats.ts';
import { listEntries } from '../../fs/entry-names.ts';
import { type SharedExtent, sharedExtents } from '../../fs/disk/shared-block.ts';

/** Whose blocks are not asked for: there is nothing to gain. */
const SMALL_BYTES = 64 * 1024;

/** What files occupy together. */
export interface Occupied {
  readonly files: number;
  /** Of the disk blocks that each of the files has: what several have counts for each. */
  readonly allocatedBytes: number;
  /** Of the disk blocks that any of them has, each counted once. Undefined where that cannot be told. */
  readonly occupiedBytes: number | undefined;
}

/**
 * Measures all files below some directories together: one with several hard links once, and blocks that files share
 * (reflinks) once. Symlinks are not followed. What goes meanwhile has no bytes.
 * @throws TartletError `DISK_*`
 */
export async function measureTrees(directories: readonly string[]): Promise<Occupied> {
  const seen = new Set<string>();
  const shared = new Map<bigint | number, SharedExtent[]>();
  let [files, allocatedBytes] = [0, 0];
  let own: number | undefined = 0;
  for (const directory of directories) {
    for await (const file of filesBelow(directory)) {
      if (file === undefined) {
        own = undefined;
        continue;
      }
      const stats = await lstatIfThere(file);
      if (stats?.isFile() !== true || seen.has(`${stats.dev} ${stats.ino}`)) continue;
      seen.add(`${stats.dev} ${stats.ino}`);
      files += 1;
      const bytes = stats.blocks * 512;
      allocatedBytes += bytes;
      const extents = bytes < SMALL_BYTES ? [] : await sharedExtents(file).catch(() => undefined);
      if (extents === undefined || own === undefined) {
        own = undefined;
        continue;
      }
      const sharedBytes = extents.reduce((sum, { start, end }) => sum + end - start, 0);
      own += Math.max(0, bytes - sharedBytes);
      shared.set(stats.dev, [...(shared.get(stats.dev) ?? []), ...extents]);
    }
  }
  const once = [...shared.values()].reduce((sum, extents) => sum + unionBytes(extents), 0);
  return { files, allocatedBytes, occupiedBytes: own === undefined ? undefined : own + once };
}

/** Undefined stands for a directory that is closed to us. */
async function* filesBelow(directory: string): AsyncGenerator<string | undefined> {
  const entries = await listEntries(directory).catch((error: unknown) => {
    if (!isTartletError(error, 'DISK_DENIED')) throw error;
    return undefined;
  });
  if (entries === undefined) yield undefined;
  for (const entry of entries ?? []) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile()) yield path;
  }
}

/** @internal exported for its test. */
export function unionBytes(extents: readonly SharedExtent[]): number {
  let [bytes, reached] = [0, 0];
  for (const { start, end } of extents.toSorted((one, other) => one.start - other.start)) {
    bytes += Math.max(0, end - Math.max(start, reached));
    reached = Math.max(reached, end);
  }
  return bytes;
}
