import type { RemoteName } from '../../names/remote-name.ts';
import type { CachedImage, ImageCache } from './image-cache.ts';
import { TO_READ, whileHeld } from './image-lock.ts';
import { clearMark, setMark } from './image-mark.ts';
import { isPinnedByPrefetch } from './prefetch-mark.ts';

/** An image that was pinned or unpinned. */
export interface Pinned {
  readonly image: CachedImage;
  /** False when it was so before. */
  readonly changed: boolean;
}

/** What {@link pinImage} needs; a `Session` is one. */
export interface PinPlace {
  readonly images: ImageCache;
  readonly signal: AbortSignal;
}

/**
 * Pins the image that a name leads to now: neither collection nor pruning takes it, whatever becomes of its tags. Or
 * takes the pin away.
 *
 * @throws TartletError `VM_NOT_FOUND`, `DISK_*`
 */
export async function pinImage(place: PinPlace, name: RemoteName, pinned: boolean): Promise<Pinned> {
  const found = await place.images.require(name, 'read');
  return whileHeld(
    place.images,
    found.digest,
    { ...TO_READ, signal: place.signal },
    async () => place.images.require(name.withDigest(found.digest), 'read'),
    async (image) => ({ image, changed: await changePin(image.directory.path, pinned) }),
  );
}

/** A pin of prefetch, which goes with the next rollout, becomes the user's. */
async function changePin(directory: string, pinned: boolean): Promise<boolean> {
  if (!pinned) return clearMark(directory, 'pinned');
  if (await isPinnedByPrefetch(directory)) await clearMark(directory, 'pinned');
  return setMark(directory, 'pinned');
}
