import { isTartletError } from '../../errors.ts';
import type { Digest } from '../../names/digest.ts';
import type { ImageCache } from './image-cache.ts';
import type { FileLock } from '../../fs/lock/lock.ts';

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

/**
 * Locks an image for reading: nobody pulls over it, deletes or collects it meanwhile. Waits for whoever changes it.
 *
 * @returns undefined for a read-only cache, which has nobody who could change it (reliability D10).
 */
export async function lockToRead(
  images: ImageCache,
  digest: Digest,
  signal: AbortSignal,
): Promise<FileLock | undefined> {
  try {
    return await images.lock(digest, { mode: 'shared', wait: true, signal });
  } catch (error) {
    if (isTartletError(error, 'DISK_READONLY', 'DISK_DENIED')) return undefined;
    throw error;
  }
}
