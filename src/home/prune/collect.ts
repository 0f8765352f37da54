import type { Digest } from '../../names/digest.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import { diskError } from '../../fs/disk-error.ts';
import { hasMark, setMark } from '../images/image-mark.ts';
import { imageReferences } from '../images/image-reference.ts';
import { lastStir } from '../last-use.ts';
import { deleteCandidate } from './prune-delete.ts';
import { imageCandidates, type ImageCandidate, type Spared, spare, type Store } from './prune-candidate.ts';
import { lookAtVmDirectory } from '../vm-directory.ts';

/**
 * An image that came or was used within this time is not collected: a client that looked up its digest may still come
 * for it.
 */
const GRACE_MS = 10 * 60 * 1000;

/** What a collection did. */
export interface Collected {
  readonly deleted: readonly ImageCandidate[];
  readonly spared: readonly Spared[];
}

/**
 * Images that no symlink of the cache names, that were not pulled by digest, are not pinned, and were left alone for
 * ten minutes (tart-cli §4.6). Whether another process holds one shows when it is deleted. None while part of the cache
 * cannot be looked at: it may name any.
 *
 * @throws TartletError `DISK_*`
 */
export async function unreferencedImages(store: Store): Promise<ImageCandidate[]> {
  const references = imageReferences(store.home, store.images.walk());
  const images: ImageCandidate[] = [];
  for (const image of await imageCandidates(store)) {
    if (references.name(image.path)) continue;
    if ((await store.home.unreadable.passOverLater(image.path, async () => isFreeToGo(store, image))) === true)
      images.push(image);
  }
  return images;
}

/**
 * Whether an image is still unreferenced; asked under its lock, since a pull may just have linked it (tart-cli §7 #12).
 */
export async function isUnreferenced(store: Store, image: ImageCandidate): Promise<boolean> {
  return !imageReferences(store.home, store.images.walk()).name(image.path) && (await isFreeToGo(store, image));
}

async function isFreeToGo(store: Store, image: ImageCandidate): Promise<boolean> {
  if (image.pinned || (await hasMark(image.path, 'explicitly-pulled'))) return false;
  const stirred = lastStir(image.path, store);
  return stirred !== undefined && store.now().getTime() - stirred.getTime() >= GRACE_MS;
}

/**
 * Remembers that an image lost a tag, when that was its last: from now on {@link collectUnnamed} may take it. Its lock
 * is not needed: the mark alone deletes nothing.
 *
 * @param digest what the tag led to before.
 */
export async function noteLostTag(store: Store, name: RemoteName, digest: Digest): Promise<void> {
  const directory = store.images.directoryOf(name, digest);
  if (lookAtVmDirectory(directory) === undefined || imageReferences(store.home, store.images.walk()).name(directory))
    return;
  await setMark(directory, 'unnamed');
}

/**
 * Collects the images that lost their last tag by a command. Others that nothing leads to are left for `prune --gc`: a
 * directory that was renamed by hand, or a pull that was killed before its last step, is no garbage.
 *
 * @throws TartletError `DISK_*` when the cache cannot be read; what cannot be deleted is spared.
 */
export async function collectUnnamed(store: Store): Promise<Collected> {
  const images = await unreferencedImages(store);
  const deleted: ImageCandidate[] = [];
  const spared: Spared[] = [];
  for (const image of images) {
    try {
      if (!(await hasMark(image.path, 'unnamed'))) continue;
      if (await deleteCandidate(store, image, async () => isUnreferenced(store, image))) deleted.push(image);
    } catch (error) {
      spared.push(spare(image, diskError(error, 'delete', image.path)));
    }
  }
  return { deleted, spared };
}
