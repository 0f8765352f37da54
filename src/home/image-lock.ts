import { isTartletError } from '../errors.ts';
import type { Digest } from '../names/digest.ts';
import type { ImageCache } from './image-cache.ts';
import type { FileLock } from './lock.ts';

/**
 * Locks an image in order to delete it: at once, or not at all.
 *
 * @returns `busy` when somebody reads or pulls it; `needless` on a disk so full that the lock file is missing and cannot be created:
 * then nobody can hold it, and deleting is what the disk needs (reliability D29).
 */
export async function lockToDelete(images: ImageCache, digest: Digest): Promise<FileLock | 'busy' | 'needless'> {
  try {
    return (await images.lock(digest, { mode: 'exclusive', wait: false })) ?? 'busy';
  } catch (error) {
    if (isTartletError(error, 'DISK_FULL')) return 'needless';
    throw error;
  }
}
