import { randomUUID } from 'node:crypto';
import { readlink } from 'node:fs/promises';
import path from 'node:path';
import { isTartletError, systemCode } from '../errors.ts';
import { diskError, isMissing, onDisk } from '../fs/disk-error.ts';
import { exchangeEntries, makeLink, moveEntry } from '../fs/entry.ts';
import { makeDirectoryTree, removeEmptyTree } from '../fs/directory-tree.ts';
import { fsyncRemoval, fsyncUpTo } from '../fs/fsync.ts';
import { removalName } from '../fs/publish.ts';
import type { Home } from './home.ts';
import { isLinkAside, linkAsideName } from './home-entry.ts';
import { removeEntry } from '../fs/remove.ts';
import { namesIn } from '../fs/entry-names.ts';

/*
 * The one way to change a symlink of the home, most of which are tags: made beside, put into place by one step, the
 * directory fsynced. Another process may point it elsewhere meanwhile: where it matters what it said before, that is
 * read after it was moved away, if the system can.
 */

/** Symlinks in a directory that are on their way, or were when a command was killed. */
export function leftoverLinks(directory: string): string[] {
  return namesIn(directory, 'nothing')
    .filter(isLinkAside)
    .map((name) => `${directory}/${name}`);
}

/**
 * Finds a place for a symlink on its way: in the directory of removals, where a kill leaves it to the next sweep and no
 * command takes it for a tag; on a disk so full that there is no such directory, beside the symlink (reliability D29).
 */
async function placeAside(link: string, removals: string): Promise<string> {
  try {
    await makeDirectoryTree(removals);
    return `${removals}/${removalName()}`;
  } catch (error) {
    if (!isTartletError(error, 'DISK_FULL')) throw error;
    return `${path.dirname(link)}/${linkAsideName(randomUUID())}`;
  }
}

/**
 * Points a symlink at a text as one step. Empty directories in its place go: they are what is left of a repository.
 * Removing it first, as others do, would lose the tag to a kill (reliability trap 10).
 * @param home in whose cache the symlink lies.
 */
export async function replaceLink(link: string, target: string, home: Home): Promise<void> {
  const temporary = await placeAside(link, home.stagingDirectory);
  await onDisk('create the symlink', link, async () => makeLink(target, temporary));
  try {
    await onDisk('replace the symlink', link, async () => renameOver(temporary, link));
  } finally {
    await removeEntry(temporary);
  }
  await fsyncUpTo(path.dirname(link), home.root);
}

async function renameOver(temporary: string, link: string): Promise<void> {
  try {
    await moveEntry(temporary, link);
  } catch (cause) {
    if (systemCode(cause) !== 'EISDIR' || !(await removeEmptyTree(link))) throw cause;
    await moveEntry(temporary, link);
  }
}

/**
 * Lets a symlink say something else if it still has this text. The new symlink is exchanged for the old one and that is
 * read afterwards, so that a change by another process meanwhile is kept.
 *
 * @param removals the directory of removals, on the same file system.
 * @returns whether it was rewritten.
 */
export async function rewriteLink(link: string, text: string, target: string, removals: string): Promise<boolean> {
  const temporary = await placeAside(link, removals);
  await onDisk('create the symlink', link, async () => makeLink(target, temporary));
  try {
    if (await exchangeEntries(temporary, link)) {
      if ((await onDisk('read the symlink', temporary, async () => readlink(temporary))) !== text) {
        await exchangeEntries(temporary, link);
        return false;
      }
    } else {
      if ((await onDisk('read the symlink', link, async () => readlink(link))) !== text) return false;
      await onDisk('replace the symlink', link, async () => moveEntry(temporary, link));
    }
  } finally {
    await removeEntry(temporary);
  }
  await fsyncRemoval(path.dirname(link));
  return true;
}

/**
 * Removes a symlink if it still has this text. Between reading and removing it another process may have pointed it
 * elsewhere, so it is moved away first, read there, and given back if it is another one.
 *
 * @param removals the directory of removals, on the same file system.
 * @returns whether it was removed.
 */
export async function removeLink(link: string, text: string, removals: string): Promise<boolean> {
  const aside = await placeAside(link, removals);
  try {
    await moveEntry(link, aside);
  } catch (cause) {
    if (isMissing(cause)) return false;
    throw diskError(cause, 'remove the tag', link);
  }
  const found = await onDisk('read the tag', aside, async () => readlink(aside));
  if (found !== text) await giveBack(link, found);
  await onDisk('remove the tag', aside, async () => removeEntry(aside));
  await fsyncRemoval(path.dirname(link));
  return found === text;
}

/** How often another command may take the empty directory of the symlink away, between two steps of ours. */
const GIVE_BACK_TRIES = 5;

/** Puts a symlink back that was moved away, unless a still newer one is there. */
async function giveBack(link: string, text: string): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await makeLink(text, link);
      return;
    } catch (cause) {
      if (systemCode(cause) === 'EEXIST') return;
      if (systemCode(cause) !== 'ENOENT' || tries === GIVE_BACK_TRIES) throw diskError(cause, 'restore the tag', link);
      await makeDirectoryTree(path.dirname(link));
    }
  }
}
