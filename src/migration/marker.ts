import { randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';
import * as v from 'valibot';
import { createFile, moveEntry } from '../fs/entry.ts';
import { parseRecord } from '../json/record.ts';
import type { Home } from '../home/home.ts';
import { CacheEntry } from '../home/home-entry.ts';
import { removeEntry } from '../fs/remove.ts';
import { lstatIfThereSync } from '../fs/stats.ts';
import { readSmallFileIfThereSync } from '../fs/small-file.ts';
import { namesIn } from '../fs/entry-names.ts';

/** Homes that share a cache by a symlink see it under several paths: so many are remembered. */
const MAX_ROOTS = 8;

const marker = v.object({
  version: v.literal(1),
  /** The directories of images, as spelled, whose symlinks were looked at. */
  roots: v.array(v.string()),
  /** One line for each entry of the directory of images, as {@link listing} makes them. */
  hosts: v.array(v.string()),
});

type Marker = v.InferOutput<typeof marker>;

/**
 * How the top of the cache looks: it changes when a directory of a registry or of an organisation is renamed, moved or
 * added.
 */
export type Listing = readonly string[];

/**
 * Looks at the top of the cache: one directory read, and one look at each registry's directory.
 * @returns an empty list when there is no cache.
 */
export function listTop(home: Home): Listing {
  const top = home.imagesDirectory;
  return namesIn(top, 'nothing').map((name) => `${name}${factsOf(`${top}/${name}`)}`);
}

/**
 * The listing without some directories: those that are gone, which are no reason for another look, or those that are to
 * be looked at again.
 */
export function withoutHosts(top: Listing, hosts: readonly string[]): Listing {
  return top.filter((line) => !hosts.some((host) => line.startsWith(`${host} `)));
}

function factsOf(path: string): string {
  const stats = lstatIfThereSync(path);
  return stats === undefined ? '' : ` ${stats.ino} ${stats.mtimeMs}`;
}

/** Whether nothing happened to the cache since it was last in order: that is one look at its top. */
export function isInOrder(home: Home): boolean {
  const top = listTop(home);
  return top.length === 0 || readMarker(home, top) === 'same';
}

/** What a marker says about the cache that it lies in. */
export type MarkerReading = 'same' | 'different' | 'never';

/** Compares the cache with what it was when it was last in order. A marker that cannot be read is none. */
export function readMarker(home: Home, top: Listing): MarkerReading {
  const known = load(home);
  if (known === undefined) return 'never';
  const isSame = known.hosts.join('\n') === top.join('\n') && known.roots.includes(home.imagesDirectory);
  // Links may have been written under any of these paths: they are broken when one is gone.
  return isSame && known.roots.every((root) => isSameDirectory(root, home.imagesDirectory)) ? 'same' : 'different';
}

/** Remembers a cache that is in order. Only saves time: where it cannot be written, the next command looks again. */
export async function writeMarker(home: Home, top: Listing): Promise<void> {
  const file = markerFile(home);
  const known = load(home);
  const others = (known?.roots ?? []).filter(
    (root) => root !== home.imagesDirectory && isSameDirectory(root, home.imagesDirectory),
  );
  const roots = [home.imagesDirectory, ...others].slice(0, MAX_ROOTS);
  const temporary = `${file}.${randomUUID()}`;
  try {
    const handle = await createFile(temporary, 'refuse');
    try {
      await handle.writeFile(`${JSON.stringify({ version: 1, roots, hosts: [...top] } satisfies Marker)}\n`);
    } finally {
      await handle.close();
    }
    await moveEntry(temporary, file);
  } catch {
    // Read-only, full, or of another user: see above.
    await removeEntry(temporary).catch(() => undefined);
  }
}

function isSameDirectory(one: string, other: string): boolean {
  if (one === other) return true;
  try {
    const [first, second] = [statSync(one), statSync(other)];
    return first.ino === second.ino && first.dev === second.dev;
  } catch {
    return false; // Gone, or not for us to see.
  }
}

function load(home: Home): Marker | undefined {
  try {
    return parseRecord(marker, readSmallFileIfThereSync(markerFile(home))?.toString());
  } catch {
    return undefined;
  }
}

function markerFile(home: Home): string {
  return `${home.cacheDirectory}/${CacheEntry.migrationMarker}`;
}
