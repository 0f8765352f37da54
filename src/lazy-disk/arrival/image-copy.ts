import { copyDisk } from '../../fs/disk/disk-copy.ts';
import { neverSharesBlocks } from '../../fs/disk/shared-block.ts';
import { sizeDisk } from '../../fs/disk/disk-size.ts';
import { removeEntry } from '../../fs/remove.ts';
import { statIfThere } from '../../fs/stats.ts';
import { isOnOneDisk } from '../../fs/space.ts';
import { LazyFile, VmFile } from '../../home/home-entry.ts';
import { holdImage, TO_READ } from '../../home/images/image-lock.ts';
import type { VmDirectory } from '../../home/vm-directory.ts';
import type { Session } from '../../session/session.ts';
import { makeRoom, requireFreeIn } from '../../transfer/pull/room.ts';
import type { LazyVm } from './lazy-vm.ts';

/**
 * Makes the disk as the image has it, in the size of the VM's, under the name of one that does not count yet; the image
 * is locked meanwhile, so that it stays. One that was begun before goes.
 *
 * @throws TartletError `NOT_FOUND` when the image is not in the cache, `DISK_*`
 */
export async function copyImage(
  session: Session,
  { name, directory, record, imageName, image }: LazyVm,
): Promise<void> {
  const whole = `${directory}/${LazyFile.disk}`;
  await removeEntry(whole);
  const { digest } = image.manifest;
  const held = await holdImage(session.images, digest, { ...TO_READ, signal: session.signal }, async () =>
    session.images.require(imageName, 'attach'),
  );
  try {
    await makeRoomFor(session, name, held.seen.directory, directory);
    await copyDisk(`${held.seen.directory.path}/${VmFile.disk}`, whole, session);
    await sizeDisk(whole, record.diskBytes);
  } finally {
    await held.release();
  }
}

/**
 * For what a copy takes where blocks cannot be shared, and for what the guest wrote, which is moved there. Nothing that
 * could be deleted helps where the VMs lie on another disk than the cache.
 *
 * @param vm its directory.
 */
async function makeRoomFor(session: Session, name: string, image: VmDirectory, vm: string): Promise<void> {
  const { vmsDirectory, cacheDirectory } = session.home;
  const atLeast = image.allocatedBytes;
  if (!(await isOnOneDisk(vmsDirectory, cacheDirectory))) return requireFreeIn(vmsDirectory, name, atLeast);
  if (!(await neverSharesBlocks(image.path))) return;
  const overlay = await statIfThere(`${vm}/${LazyFile.overlay}`);
  await makeRoom(session, name, { atLeast, atMost: atLeast + (overlay?.blocks ?? 0) * 512 });
}
