import { type ErrorCode, isTartletError } from '../../errors.ts';
import type { FileLock, LockOptions } from '../../fs/lock/lock.ts';
import type { Digest } from '../../names/digest.ts';

/** What images are locked by; an `ImageCache` is one. */
export interface ImageLocks {
  lock(digest: Digest, options: LockOptions): Promise<FileLock | undefined>;
}

/** How an image is held. */
export interface Hold extends LockOptions {
  /**
   * Errors with which the lock file cannot be made, so that no other command can have it either: then the work is done
   * without it. Default: none.
   */
  readonly needless?: readonly ErrorCode[];
}

/**
 * To read it: no command pulls over it, deletes or collects it meanwhile. A read-only cache has none that could change
 * it (reliability D10).
 */
export const TO_READ = {
  mode: 'shared',
  wait: true,
  needless: ['DISK_READONLY', 'DISK_DENIED'],
} as const satisfies Hold;

/**
 * To delete it: at once or not at all. On a disk so full that the lock file is missing and cannot be made, deleting is
 * what the disk needs (reliability D29).
 */
export const TO_DELETE = { mode: 'exclusive', wait: false, needless: ['DISK_FULL'] } as const satisfies Hold;

/** An image that is held, and what a look at it found under the lock. */
export interface HeldImage<Seen> {
  readonly seen: Seen;
  /** Also happens by itself when the process ends. */
  readonly release: () => Promise<void>;
}

/**
 * Locks an image and looks at it again: what was seen before the lock may have gone while it was waited for. For one
 * that is held longer than a piece of work takes; else {@link whileHeld}.
 *
 * @param look at what the lock protects; when it throws, the image is not held.
 * @returns `busy` when another command has it and `how` does not wait.
 * @throws TartletError `DISK_*`, or the reason of the signal, and what `look` throws.
 */
export async function holdImage<Seen>(
  images: ImageLocks,
  digest: Digest,
  how: Hold & { readonly wait: true },
  look: () => Seen | Promise<Seen>,
): Promise<HeldImage<Seen>>;
export async function holdImage<Seen>(
  images: ImageLocks,
  digest: Digest,
  how: Hold,
  look: () => Seen | Promise<Seen>,
): Promise<HeldImage<Seen> | 'busy'>;
export async function holdImage<Seen>(
  images: ImageLocks,
  digest: Digest,
  how: Hold,
  look: () => Seen | Promise<Seen>,
): Promise<HeldImage<Seen> | 'busy'> {
  const lock = await lockOrNeedless(images, digest, how);
  if (lock === 'busy') return 'busy';
  const release = async (): Promise<void> => lock?.release();
  try {
    return { seen: await look(), release };
  } catch (error) {
    await release();
    throw error;
  }
}

/**
 * Locks an image, looks at it again, works, and lets it go, however the work ends.
 *
 * @param look as for {@link holdImage}.
 * @param work is given what the look found.
 * @returns what the work gives; `busy`, without any of it, when another command has the image and `how` does not wait.
 * @throws as {@link holdImage}, and what `work` throws.
 */
export async function whileHeld<Seen, Result>(
  images: ImageLocks,
  digest: Digest,
  how: Hold & { readonly wait: true },
  look: () => Seen | Promise<Seen>,
  work: (seen: Seen) => Promise<Result>,
): Promise<Result>;
export async function whileHeld<Seen, Result>(
  images: ImageLocks,
  digest: Digest,
  how: Hold,
  look: () => Seen | Promise<Seen>,
  work: (seen: Seen) => Promise<Result>,
): Promise<Result | 'busy'>;
export async function whileHeld<Seen, Result>(
  images: ImageLocks,
  digest: Digest,
  how: Hold,
  look: () => Seen | Promise<Seen>,
  work: (seen: Seen) => Promise<Result>,
): Promise<Result | 'busy'> {
  const held = await holdImage(images, digest, how, look);
  if (held === 'busy') return 'busy';
  try {
    return await work(held.seen);
  } finally {
    await held.release();
  }
}

async function lockOrNeedless(images: ImageLocks, digest: Digest, how: Hold): Promise<FileLock | 'busy' | undefined> {
  try {
    return (await images.lock(digest, how)) ?? 'busy';
  } catch (error) {
    if (isTartletError(error) && how.needless?.includes(error.code) === true) return undefined;
    throw error;
  }
}
