import { neverSharesBlocks } from '../fs/disk/shared-block.ts';
import { freeBytes, isOnOneDisk } from '../fs/space.ts';
import type { RemoteName } from '../names/remote-name.ts';
import type { FlatImage } from '../oci/tart-image.ts';
import type { Session } from '../session/session.ts';
import { type PullPlan, type SpaceNeeded, spaceNeeded } from '../transfer/pull/plan.ts';
import { planOf } from '../transfer/pull/pull-preview.ts';
import { findPresence, pullTarget } from '../transfer/pull/pull-target.ts';
import { requireFreeIn, requireRoom, RESERVE_BYTES } from '../transfer/pull/room.ts';

/** What begins before its disk is here. */
export interface ToCome {
  /** For messages. */
  readonly asked: RemoteName;
  /** With the digest. */
  readonly imageName: RemoteName;
  readonly image: FlatImage;
}

/**
 * Makes sure that all can fit that comes after a VM began before its disk is here: the image in the cache, and the disk
 * of the VM, which takes as much again where files share no blocks. Beside that comes what the guest writes, which is
 * not known. Deletes nothing: room is made when it is needed.
 *
 * @throws TartletError `DISK_FULL`
 */
export async function requireRoomToCome(session: Session, { asked, imageName, image }: ToCome): Promise<void> {
  const { cacheDirectory, vmsDirectory } = session.home;
  const most = 2 * image.base.size + RESERVE_BYTES;
  const free = await Promise.all([freeBytes(cacheDirectory), freeBytes(vmsDirectory)]);
  // As a rule: then nothing has to be looked for.
  if (free.every((bytes) => bytes >= most)) return;
  const plan = await planOf(session, pullTarget(imageName, image, await findPresence(session, imageName)));
  const needed = spaceNeeded(plan);
  const subject = `a VM of ${asked.toString()}`;
  if (!(await isOnOneDisk(vmsDirectory, cacheDirectory))) {
    await requireRoom(session, subject, needed);
    await requireFreeIn(vmsDirectory, subject, copyNeeds(plan).atLeast);
    return;
  }
  const copy = (await neverSharesBlocks(vmsDirectory)) ? copyNeeds(plan) : { atLeast: 0, atMost: 0 };
  const both = { atLeast: needed.atLeast + copy.atLeast, atMost: needed.atMost + copy.atMost };
  await requireRoom(session, subject, both);
}

/** What is not zero, wherever the image has it from. */
function copyNeeds({ files }: PullPlan): SpaceNeeded {
  const chunks = files.flatMap((file) => file.chunks.filter(({ source }) => source.kind !== 'zero'));
  return {
    atLeast: chunks.reduce((sum, { chunk }) => sum + Math.min(chunk.size, chunk.descriptor.size), 0),
    atMost: chunks.reduce((sum, { chunk }) => sum + chunk.size, 0),
  };
}
