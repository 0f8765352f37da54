import { DIRECTORY_LOCK } from '../fs/lock/lock.ts';
import { isLinkAside } from '../home/home-entry.ts';
import { decodeDigestDirectory, decodePath } from '../home/layout.ts';
import { finding, type Finding, type ImagePlace, unreadable } from './finding.ts';
import { kindText, lookInto } from '../fs/probe.ts';

/** Deeper trees than any real repository are not followed, as in a walk of the cache. */
const MAX_DEPTH = 64;

/** The names that a killed change of a tag leaves behind. */

/** A symlink somewhere in the image cache. */
export interface LinkPlace {
  readonly path: string;
  /** Directories from the registry on, and the name of the symlink itself. */
  readonly parts: readonly string[];
  /** A temporary of ours, from a command that was killed. */
  readonly isLeftover: boolean;
}

/** Everything in `cache/OCIs`, sorted by what it is. */
export interface CacheTree {
  readonly images: readonly ImagePlace[];
  readonly links: readonly LinkPlace[];
  /** Directories of registries and repositories. */
  readonly directories: readonly string[];
  /** Directories that cannot be read. */
  readonly unseen: readonly string[];
  /** Foreign entries, and what cannot be read. */
  readonly findings: readonly Finding[];
}

/**
 * Walks `cache/OCIs` and leaves nothing out, unlike the walk that commands use: hidden entries and files are seen too.
 * Links are not followed, image directories not entered.
 */
export function walkTree(imagesDirectory: string): CacheTree {
  const images: ImagePlace[] = [];
  const links: LinkPlace[] = [];
  const directories: string[] = [];
  const findings: Finding[] = [];
  const unseen: string[] = [];
  const visit = (directory: string, parts: readonly string[]): void => {
    const entries = lookInto(directory);
    if (entries.kind === 'failed') {
      findings.push(unreadable(directory, entries.why));
      unseen.push(directory);
    }
    if (entries.kind !== 'found') return;
    directories.push(directory);
    for (const entry of entries.value) {
      const at = `${directory}/${entry.name}`;
      const inside = [...parts, entry.name];
      const digest = entry.isDirectory() ? decodeDigestDirectory(entry.name) : undefined;
      if (digest !== undefined) images.push({ path: at, digest, name: decodePath(inside) });
      else if (entry.isSymbolicLink()) {
        links.push({ path: at, parts: inside, isLeftover: isLinkAside(entry.name) });
      } else if (entry.isDirectory() && parts.length < MAX_DEPTH) visit(at, inside);
      else if (!isLockFile(entry.name, parts.length)) {
        findings.push(finding('foreign-entry', at, `${kindText(entry)} that is no image and no tag`));
      }
    }
  };
  visit(imagesDirectory, []);
  return { images, links, directories, unseen, findings };
}

/** Locks of directories are files in them where the system cannot lock directories themselves. */
function isLockFile(name: string, depth: number): boolean {
  return name === DIRECTORY_LOCK && depth <= 1;
}
