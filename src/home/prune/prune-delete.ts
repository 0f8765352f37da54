import path from 'node:path';
import { TartletError, unreachable } from '../../errors.ts';
import { onDisk } from '../../fs/disk-error.ts';
import { fsyncRemoval } from '../../fs/fsync.ts';
import { TO_DELETE, whileHeld } from '../images/image-lock.ts';
import { hasMark } from '../images/image-mark.ts';
import { lastUse } from '../last-use.ts';
import { decodeDigestDirectory } from '../layout.ts';
import type { Candidate, ImageCandidate, Store } from './prune-candidate.ts';
import { removeEntry } from '../../fs/remove.ts';
import { VmFile } from '../vm-directory.ts';
import { hasWriteLock } from '../../fs/lock/write-lock.ts';

/**
 * Deletes one thing, an image together with its tags. Asks for its lock and does not wait for it; what it decides on is
 * looked at again under the lock.
 *
 * @param mayGo asked under the lock of an image whether what it was chosen for still holds.
 * @returns false when there is nothing to do any more: it is gone, was used or pinned meanwhile, or `mayGo` says no.
 * @throws TartletError `BUSY` while another process uses it, `VM_RUNNING`, `DISK_*`
 */
export async function deleteCandidate(
  store: Store,
  candidate: Candidate,
  mayGo: (image: ImageCandidate) => Promise<boolean> = async () => true,
): Promise<boolean> {
  switch (candidate.kind) {
    case 'image':
      return deleteImage(store, candidate, mayGo);
    case 'vm':
      if (!isUnused(store, candidate)) return false;
      await store.vms.delete(candidate.name);
      return true;
    case 'ipsw':
      if (!isUnused(store, candidate)) return false;
      await onDisk('delete', candidate.path, async () => removeEntry(candidate.path));
      await fsyncRemoval(path.dirname(candidate.path));
      return true;
    default:
      return unreachable(candidate);
  }
}

async function deleteImage(
  store: Store,
  image: ImageCandidate,
  mayGo: (image: ImageCandidate) => Promise<boolean>,
): Promise<boolean> {
  const digest = decodeDigestDirectory(path.basename(image.path));
  if (digest === undefined) throw new TartletError('INTERNAL', `${image.path} is no image`);
  const deleted = await whileHeld(
    store.images,
    digest,
    TO_DELETE,
    async () => isUnused(store, image) && !(await hasMark(image.path, 'pinned')) && mayGo(image),
    async (isToGo) => {
      if (!isToGo) return false;
      // Tart locks the configuration of what it pushes (tart-cli §4.3).
      if (await hasWriteLock(`${image.path}/${VmFile.config}`, store.platform)) throw busy(image);
      await store.images.deleteLocked(image.name, digest, image.tags);
      return true;
    },
  );
  if (deleted === 'busy') throw busy(image);
  return deleted;
}

/** A process that uses an entry sets its date, under the lock that we hold now. */
function isUnused(store: Store, candidate: Candidate): boolean {
  return lastUse(candidate.path, store)?.getTime() === candidate.accessed.getTime();
}

function busy(candidate: Candidate): TartletError {
  return new TartletError('BUSY', `${candidate.name.toString()} is being used by another command`, {
    subject: candidate.name.toString(),
    kept: 'it was left alone',
    retryable: true,
  });
}

/** Whether another process uses an image now, so that it cannot go. */
export async function isBusy(store: Store, candidate: Candidate): Promise<boolean> {
  const digest = candidate.kind === 'image' ? decodeDigestDirectory(path.basename(candidate.path)) : undefined;
  if (digest === undefined) return false;
  const free = async (): Promise<'free'> => Promise.resolve('free');
  return (await whileHeld(store.images, digest, TO_DELETE, free, free)) === 'busy';
}
