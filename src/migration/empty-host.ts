import { systemCode } from '../errors.ts';
import { diskError } from '../fs/disk-error.ts';
import { removeEmptyDirectory } from '../fs/entry.ts';
import type { CacheFacts } from './cache-facts.ts';
import type { StepHook } from './step.ts';

/**
 * Removes a directory in which nothing is.
 * @returns false when something is in it, or it is not ours to remove.
 * @throws TartletError `DISK_*`
 */
export async function removeIfEmpty(directory: string): Promise<boolean> {
  try {
    await removeEmptyDirectory(directory);
    return true;
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') return true;
    if (['ENOTEMPTY', 'EEXIST', 'EBUSY', 'ENOTDIR', 'ELOOP', 'EACCES', 'EPERM'].includes(systemCode(cause) ?? ''))
      return false;
    throw diskError(cause, 'remove the directory', directory);
  }
}

/**
 * Removes registries' directories that hold neither an image nor a tag any more: what a migration leaves that was
 * killed after its last move. A directory with any other file stays.
 *
 * @returns those that are gone.
 */
export async function removeEmptyHosts(facts: CacheFacts, step: StepHook): Promise<string[]> {
  const used = new Set([...facts.images, ...facts.links].map(({ host }) => host));
  const gone: string[] = [];
  for (const { directory } of facts.hosts) {
    if (used.has(directory)) continue;
    const inside = [...facts.directories].filter((each) => each === directory || each.startsWith(`${directory}/`));
    // The deepest first.
    for (const each of inside.sort().reverse()) {
      await step(`tidy ${each}`);
      if ((await removeIfEmpty(`${facts.imagesDirectory}/${each}`)) && each === directory) gone.push(directory);
    }
  }
  return gone;
}
