import path from 'node:path';
import { isTartletError, TartletError, unreachable } from '../errors.ts';
import type { Hint } from '../hint.ts';
import { diskError, onDisk } from '../fs/disk-error.ts';
import { fsyncRemoval } from '../fs/fsync.ts';
import { exists, linkText } from '../fs/stats.ts';
import { removeLink, rewriteLink } from '../home/link.ts';
import { FileLock } from '../fs/lock/lock.ts';
import type { Store } from '../home/prune/prune-candidate.ts';
import { lookAtVmDirectory } from '../home/vm-directory.ts';
import type { Finding, ImagePlace } from './finding.ts';
import { type FormerLink, quarantine } from '../home/quarantine.ts';
import { removeEntry } from '../fs/remove.ts';
import { walkTree } from './tree.ts';

/** What became of a finding that `--fix` was to do something about. */
export interface RepairResult {
  readonly finding: Finding;
  /** `left`: it is as it was, for the reason that `text` gives. */
  readonly result: 'repaired' | 'left';
  readonly text: string;
  /** What a person can do, for what is `left`. */
  readonly next?: Hint | undefined;
}

/**
 * Does what one finding needs and the disk alone can give. Whatever changed since the finding was made stays as it is.
 *
 * @returns undefined for what is not decided here: repairs ask registries, migration moves all at once.
 */
export async function repairFinding(store: Store, each: Finding): Promise<RepairResult | undefined> {
  const { remedy } = each;
  try {
    const removals = store.home.stagingDirectory;
    switch (remedy.kind) {
      case 'none':
      case 'migrate':
      case 'repair':
        return undefined;
      case 'relink':
        if (!(await rewriteLink(each.path, remedy.text, remedy.target, removals))) return changed(each);
        return { finding: each, result: 'repaired', text: `now says ${remedy.target}` };
      case 'unlink':
        if (!(await removeLink(each.path, remedy.text, removals))) return changed(each);
        return { finding: each, result: 'repaired', text: `removed; it said ${remedy.text}` };
      case 'discard':
        return await discard(each, remedy.lock);
      case 'quarantine':
        if (!(await exists(each.path))) return { finding: each, result: 'repaired', text: 'it is gone' };
        return {
          finding: each,
          result: 'repaired',
          text: `moved to ${await quarantine(store.home, each, [], store.now())}`,
        };
      default:
        return unreachable(remedy);
    }
  } catch (error) {
    return leftBecause(each, diskError(error, 'repair', each.path));
  }
}

/**
 * Sets a damaged image aside, with the symlinks that lead to it. Call under its lock, alone.
 * @throws TartletError `DISK_*`; it is then where it was.
 */
export async function setImageAside(store: Store, each: Finding, place: ImagePlace): Promise<string> {
  const links = linksTo(store, place);
  const move = async (): Promise<string> => quarantine(store.home, { ...each, path: place.path }, links, store.now());
  // What is stacked refers to the content store: it moves while no process collects there (tart-formats §4.7).
  const isStacked = lookAtVmDirectory(place.path)?.layout === 'stacked-cached';
  const to = isStacked ? await store.contents.change(store.signal, move) : await move();
  for (const link of links) await removeLink(link.path, link.text, store.home.stagingDirectory);
  return to;
}

function linksTo(store: Store, place: ImagePlace): FormerLink[] {
  return walkTree(store.home.imagesDirectory).links.flatMap((link) => {
    const text = link.isLeftover ? undefined : linkText(link.path);
    if (text === undefined || path.resolve(path.dirname(link.path), text) !== path.resolve(place.path)) return [];
    return [{ path: link.path, text }];
  });
}

async function discard(each: Finding, lockFile: string | undefined): Promise<RepairResult> {
  const lock = lockFile === undefined ? undefined : await lockAlone(lockFile);
  if (lock === 'busy') return leftBecause(each, new TartletError('BUSY', 'another command goes on with it now'));
  try {
    await onDisk('remove', each.path, async () => removeEntry(each.path));
    await fsyncRemoval(path.dirname(each.path));
  } finally {
    await lock?.release();
  }
  return { finding: each, result: 'repaired', text: 'removed' };
}

/** On a disk so full that the lock file cannot be made, no process holds it (reliability D29). */
async function lockAlone(file: string): Promise<FileLock | 'busy' | undefined> {
  try {
    return (await FileLock.acquire(file, { mode: 'exclusive', wait: false })) ?? 'busy';
  } catch (error) {
    if (isTartletError(error, 'DISK_FULL')) return undefined;
    throw error;
  }
}

function changed(each: Finding): RepairResult {
  return { finding: each, result: 'left', text: 'it was changed meanwhile' };
}

export function leftBecause(each: Finding, error: TartletError): RepairResult {
  return { finding: each, result: 'left', text: error.message, next: error.facts.next };
}
