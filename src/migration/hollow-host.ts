import { systemCode } from '../errors.ts';
import { diskError } from '../fs/disk-error.ts';
import { removeEmptyDirectory } from '../fs/entry.ts';
import type { CacheFacts } from './cache-facts.ts';
import type { StepHook } from './step.ts';

/**
 * Removes a folder in which nothing is.
 * @returns false when something is in it, or it is not ours to remove.
 * @throws TartletError `DISK_*`
 */
export async function removeIfEmpty(folder: string): Promise<boolean> {
  try {
    await removeEmptyDirectory(folder);
    return true;
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') return true;
    if (['ENOTEMPTY', 'EEXIST', 'EBUSY', 'ENOTDIR', 'ELOOP', 'EACCES', 'EPERM'].includes(systemCode(cause) ?? ''))
      return false;
    throw diskError(cause, 'remove the folder', folder);
  }
}

/**
 * Removes registries' folders that hold neither an image nor a tag any more: what a migration leaves that was killed after its last move. A
 * folder with any other file stays.
 *
 * @returns those that are gone.
 */
export async function removeHollowHosts(facts: CacheFacts, step: StepHook): Promise<string[]> {
  const used = new Set([...facts.images, ...facts.links].map(({ host }) => host));
  const gone: string[] = [];
  for (const { folder } of facts.hosts) {
    if (used.has(folder)) continue;
    const inside = [...facts.folders].filter((each) => each === folder || each.startsWith(`${folder}/`));
    // The deepest first.
    for (const each of inside.sort().reverse()) {
      await step(`tidy ${each}`);
      if ((await removeIfEmpty(`${facts.imagesFolder}/${each}`)) && each === folder) gone.push(folder);
    }
  }
  return gone;
}
