import { readlinkSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { systemCode } from '../errors.ts';
import { diskError } from './disk-error.ts';
import type { CacheWalk } from './image-walk.ts';

/** Which images the links of the cache lead to. */
export interface ImageReferences {
  /** Whether any link names this folder: by the digest in its text, whatever way it spells to it, or by leading there. */
  name(folder: string): boolean;
}

/**
 * Looks at every link of the cache, those with names we cannot have included. More careful than Tart, which counts only links that resolve
 * (tart-formats §1.5): in a home that was moved none does, and all images are still wanted.
 *
 * @throws TartletError `DISK_*`
 */
export function imageReferences({ entries, foreign }: CacheWalk): ImageReferences {
  const digests = new Set<string>();
  const folders = new Set<string>();
  for (const link of [...entries.map((entry) => entry.path), ...foreign]) {
    const text = linkText(link);
    if (text === undefined) continue;
    digests.add(path.basename(text));
    folders.add(realFolder(link) ?? '');
  }
  return { name: (folder) => digests.has(path.basename(folder)) || folders.has(realFolder(folder) ?? folder) };
}

/** What a link says, or undefined when it is none any more. */
export function linkText(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR', 'EINVAL'].includes(systemCode(cause) ?? '')) return undefined;
    throw diskError(cause, 'read the link', link);
  }
}

function realFolder(place: string): string | undefined {
  try {
    return realpathSync(place);
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemCode(cause) ?? '')) return undefined;
    throw diskError(cause, 'look at', place);
  }
}
