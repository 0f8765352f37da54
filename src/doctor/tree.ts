import { FOLDER_LOCK } from '../fs/lock/lock.ts';
import { isLinkAside } from '../home/home-entry.ts';
import { decodeDigestFolder, decodePath } from '../home/layout.ts';
import { finding, type Finding, type ImagePlace, unreadable } from './finding.ts';
import { kindText, lookInto } from '../fs/probe.ts';

/** Deeper trees than any real repository are not followed, as in a walk of the cache. */
const MAX_DEPTH = 64;

/** The names that a killed change of a tag leaves behind. */

/** A link somewhere in the image cache. */
export interface LinkPlace {
  readonly path: string;
  /** Folders from the registry on, and the name of the link itself. */
  readonly parts: readonly string[];
  /** A temporary of ours, from a command that was killed. */
  readonly isLeftover: boolean;
}

/** Everything in `cache/OCIs`, sorted by what it is. */
export interface CacheTree {
  readonly images: readonly ImagePlace[];
  readonly links: readonly LinkPlace[];
  /** Folders of registries and repositories. */
  readonly folders: readonly string[];
  /** Folders that cannot be read. */
  readonly unseen: readonly string[];
  /** Foreign entries, and what cannot be read. */
  readonly findings: readonly Finding[];
}

/**
 * Walks `cache/OCIs` and leaves nothing out, unlike the walk that commands use: hidden entries and files are seen too. Links are not
 * followed, image folders not entered.
 */
export function walkTree(imagesFolder: string): CacheTree {
  const images: ImagePlace[] = [];
  const links: LinkPlace[] = [];
  const folders: string[] = [];
  const findings: Finding[] = [];
  const unseen: string[] = [];
  const visit = (folder: string, parts: readonly string[]): void => {
    const entries = lookInto(folder);
    if (entries.kind === 'failed') {
      findings.push(unreadable(folder, entries.why));
      unseen.push(folder);
    }
    if (entries.kind !== 'found') return;
    folders.push(folder);
    for (const entry of entries.value) {
      const at = `${folder}/${entry.name}`;
      const inside = [...parts, entry.name];
      const digest = entry.isDirectory() ? decodeDigestFolder(entry.name) : undefined;
      if (digest !== undefined) images.push({ path: at, digest, name: decodePath(inside) });
      else if (entry.isSymbolicLink()) {
        links.push({ path: at, parts: inside, isLeftover: isLinkAside(entry.name) });
      } else if (entry.isDirectory() && parts.length < MAX_DEPTH) visit(at, inside);
      else if (!isLockFile(entry.name, parts.length)) {
        findings.push(finding('foreign-entry', at, `${kindText(entry)} that is no image and no tag`));
      }
    }
  };
  visit(imagesFolder, []);
  return { images, links, folders, unseen, findings };
}

/** Locks of folders are files in them where the system cannot lock folders themselves. */
function isLockFile(name: string, depth: number): boolean {
  return name === FOLDER_LOCK && depth <= 1;
}
