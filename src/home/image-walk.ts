import { type Dirent, readlinkSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { RegistryAddress } from '../names/registry-address.ts';
import type { RemoteName } from '../names/remote-name.ts';
import { Repository } from '../names/repository.ts';
import { entriesIn, type FileInPlace } from '../fs/entry-names.ts';
import type { Home } from './home.ts';
import { decodeLeaf, decodeRegistry, isDigestDirectory, type Leaves } from './layout.ts';

/** Deeper trees than any real repository are not followed. */
const MAX_DEPTH = 64;

/** Something in the image cache that has a name. */
export interface CacheEntry {
  /** A tag is a symlink to an image directory, a digest the directory itself. */
  readonly kind: 'tag' | 'digest';
  readonly name: RemoteName;
  readonly path: string;
}

/** What a walk through the cache finds: entries with names, and paths that no canonical name leads to. */
export interface CacheWalk {
  readonly entries: readonly CacheEntry[];
  /** Image directories and symlinks under names we cannot have, e.g. of an older layout. Never touched. */
  readonly foreign: readonly string[];
  /** Directories of registries and repositories that cannot be looked into: there may be images and tags in them. */
  readonly unreadable: readonly string[];
}

/** The callbacks for what a walk finds. */
export interface CacheVisitor {
  readonly onEntry: (entry: CacheEntry) => void;
  readonly onForeign?: (path: string) => void;
  readonly onUnreadable?: (directory: string) => void;
}

/** Walks the image cache, and keeps what it finds. See {@link eachImage}. */
export function walkImages(home: Home): CacheWalk {
  const entries: CacheEntry[] = [];
  const foreign: string[] = [];
  const unreadable: string[] = [];
  eachImage(home, {
    onEntry: (entry) => entries.push(entry),
    onForeign: (path) => foreign.push(path),
    onUnreadable: (directory) => unreadable.push(directory),
  });
  return { entries, foreign, unreadable };
}

/**
 * Walks the image cache. Links are seen and not entered, hidden files are skipped, nothing is opened, and directories
 * that cannot be read are passed over. Synchronous: with ten thousand images, promises would take longer than the file
 * system; and what the caller does not keep costs nothing.
 *
 * @throws TartletError `DISK_*` when the cache as a whole cannot be read.
 */
export function eachImage(home: Home, { onEntry, onForeign, onUnreadable }: CacheVisitor): void {
  const visit = (directory: string, place: Place): void => {
    // A file in the place of the whole cache must not look like an empty one.
    const inside =
      place.depth === 0
        ? children(directory, 'failure')
        : home.unreadable.passOver(directory, () => children(directory));
    if (inside === undefined) {
      onUnreadable?.(directory);
      return;
    }
    const leaves = leavesOf(place);
    for (const child of inside) {
      const path = `${directory}/${child.name}`;
      const isDirectory = child.isDirectory();
      if (child.isSymbolicLink() || (isDirectory && isDigestDirectory(child.name))) {
        const name = leaves === undefined ? undefined : decodeLeaf(leaves, child.name);
        if (name === undefined) onForeign?.(path);
        else onEntry({ kind: name.tag === undefined ? 'digest' : 'tag', name, path });
      } else if (isDirectory && place.depth < MAX_DEPTH) {
        visit(path, below(place, child.name));
      }
    }
  };
  visit(home.imagesDirectory, { depth: 0 });
}

/**
 * Where the walk is, as far as that has a meaning: above all registries, or in a directory of one, or nowhere that a
 * name leads to.
 */
interface Place {
  readonly depth: number;
  readonly registry?: RegistryAddress | undefined;
  readonly repository?: string;
}

function below({ depth, registry, repository }: Place, directory: string): Place {
  if (depth === 0) return { depth: 1, registry: decodeRegistry(directory) };
  return {
    depth: depth + 1,
    registry,
    repository: repository === undefined ? directory : `${repository}/${directory}`,
  };
}

/** What the names in a directory have in common, if there can be names. */
function leavesOf({ registry, repository }: Place): Leaves | undefined {
  const path = repository === undefined ? undefined : Repository.tryParse(repository);
  return registry === undefined || path === undefined ? undefined : { registry, repository: path };
}

/**
 * A tag beside an image directory whose symlink leads to it, by the text of the symlink; undefined when there is none.
 */
export function tagLeadingTo(home: Home, directory: string): string | undefined {
  const repository = dirname(directory);
  for (const tag of home.unreadable.passOver(repository, () => linksIn(repository)) ?? []) {
    try {
      if (basename(readlinkSync(`${repository}/${tag}`)) === basename(directory)) return tag;
    } catch {
      // It moved just now: then it leads elsewhere.
    }
  }
  return undefined;
}

/** Names of the symlinks in a directory that are no leftovers: what may be tags of the images beside them. */
export function linksIn(directory: string): string[] {
  return children(directory).flatMap((child) => (child.isSymbolicLink() ? [child.name] : []));
}

function children(directory: string, fileInPlace: FileInPlace = 'nothing'): Dirent[] {
  return entriesIn(directory, fileInPlace).filter((child) => !child.name.startsWith('.'));
}
