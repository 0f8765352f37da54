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

/** Homes that share a cache by a link see it under several paths: so many are remembered. */
const MAX_ROOTS = 8;

const stamp = v.object({
  version: v.literal(1),
  /** The folders of images, as spelled, whose links were looked at. */
  roots: v.array(v.string()),
  /** One line for each entry of the folder of images, as {@link listing} makes them. */
  hosts: v.array(v.string()),
});

type Stamp = v.InferOutput<typeof stamp>;

/** How the top of the cache looks: whoever renames, moves or adds a folder of a registry or of an organisation changes it. */
export type Listing = readonly string[];

/**
 * Looks at the top of the cache: one folder read, and one look at each registry's folder.
 * @returns an empty list when there is no cache.
 */
export function listTop(home: Home): Listing {
  const top = home.imagesFolder;
  return namesIn(top, 'nothing').map((name) => `${name}${factsOf(`${top}/${name}`)}`);
}

/**
 * The listing without some folders: those that are gone, which are no reason for another look, or those that are to be
 * looked at again.
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
  return top.length === 0 || readStamp(home, top) === 'same';
}

/** What a stamp says about the cache that it lies in. */
export type StampReading = 'same' | 'different' | 'never';

/** Compares the cache with what it was when it was last in order. A stamp that cannot be read is none. */
export function readStamp(home: Home, top: Listing): StampReading {
  const known = load(home);
  if (known === undefined) return 'never';
  const isSame = known.hosts.join('\n') === top.join('\n') && known.roots.includes(home.imagesFolder);
  // Links may have been written under any of these paths: they are broken when one is gone.
  return isSame && known.roots.every((root) => isSameFolder(root, home.imagesFolder)) ? 'same' : 'different';
}

/** Remembers a cache that is in order. Only saves time: where it cannot be written, the next command looks again. */
export async function writeStamp(home: Home, top: Listing): Promise<void> {
  const file = stampFile(home);
  const known = load(home);
  const others = (known?.roots ?? []).filter(
    (root) => root !== home.imagesFolder && isSameFolder(root, home.imagesFolder),
  );
  const roots = [home.imagesFolder, ...others].slice(0, MAX_ROOTS);
  const temporary = `${file}.${randomUUID()}`;
  try {
    const handle = await createFile(temporary, 'refuse');
    try {
      await handle.writeFile(`${JSON.stringify({ version: 1, roots, hosts: [...top] } satisfies Stamp)}\n`);
    } finally {
      await handle.close();
    }
    await moveEntry(temporary, file);
  } catch {
    // Read-only, full, or somebody else's: see above.
    await removeEntry(temporary).catch(() => undefined);
  }
}

function isSameFolder(one: string, other: string): boolean {
  if (one === other) return true;
  try {
    const [first, second] = [statSync(one), statSync(other)];
    return first.ino === second.ino && first.dev === second.dev;
  } catch {
    return false; // Gone, or not for us to see.
  }
}

function load(home: Home): Stamp | undefined {
  try {
    return parseRecord(stamp, readSmallFileIfThereSync(stampFile(home))?.toString());
  } catch {
    return undefined;
  }
}

function stampFile(home: Home): string {
  return `${home.cacheFolder}/${CacheEntry.migrationStamp}`;
}
