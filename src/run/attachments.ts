import { stat } from 'node:fs/promises';
import { fetchDirectory } from '../cloud-image/fetched-directory.ts';
import { TartletError } from '../errors.ts';
import { copyDisk } from '../fs/disk/disk-copy.ts';
import { onDisk } from '../fs/disk-error.ts';
import { exists, lstatIfThere } from '../fs/stats.ts';
import { FileLock } from '../fs/lock/lock.ts';
import { holdImage, TO_READ } from '../home/images/image-lock.ts';
import { Scratch } from '../home/scratch.ts';
import { SavedState, SEED } from '../home/home-entry.ts';
import { VmFile } from '../home/vm-directory.ts';
import type { NotSuspendable } from '../home/vms/run-record.ts';
import type { Disk, Share, SharedDirectory } from '../hypervisor/machine.ts';
import { findShareHost, type ShareHost } from '../hypervisor/qemu/share-host.ts';
import { sharesByTag, type WantedShare } from '../hypervisor/share-options.ts';
import type { RemoteName } from '../names/remote-name.ts';
import type { Session } from '../session/session.ts';
import type { Arch, LinuxConfig } from '../vm/config.ts';
import type { DiskOfImage, RunSettings } from './run-settings.ts';
import type { TakenVm } from './take-vm.ts';

/** What a VM gets besides its own disk, for one run. */
export interface Attachments {
  readonly disks: readonly Disk[];
  readonly shares: readonly Share[];
  /** What serves the directories, if there are any. */
  readonly shareHost: ShareHost | undefined;
  /** Removes what was made for this run. */
  release(): Promise<void>;
}

/**
 * Looks at the disks and directories of a run, and makes copies of those that are images.
 *
 * @param vm whose run it is. @throws TartletError `HOST_LACKS`, `VM_INVALID` for a VM that is suspended, `BUSY` for a
 * disk that another program has locked, `NOT_FOUND` also for an image that is not in the cache, `DISK_*`
 */
export async function attach(
  session: Session,
  vm: TakenVm & { readonly config: LinuxConfig },
  { settings, hostArch }: { readonly settings: RunSettings; readonly hostArch: Arch | undefined },
): Promise<Attachments> {
  await refuseMemory(vm, settings);
  for (const disk of settings.disks) refuseForeignIso(disk, vm.config.arch);
  const isSharing = settings.shares.length > 0;
  const shareHost = isSharing ? await findShareHost(hostArch, session.environment['PATH'] ?? '') : undefined;
  const copies: Scratch[] = [];
  const release = async (): Promise<void> => {
    for (const copy of copies) await copy.dispose();
  };
  try {
    const shares = await resolveShares(session, settings.shares, copies);
    const disks: Disk[] = [];
    for (const disk of settings.disks) {
      if (disk.kind === 'image') disks.push(await copyOfImage(session, disk, copies));
      else disks.push(disk);
      if (disk.kind === 'file' && !disk.readOnly) await refuseLocked(disk.path);
    }
    return { disks, shares, shareHost, release };
  } catch (error) {
    await release();
    throw error;
  }
}

/**
 * As Tart does, by the name alone: from such a disc the guest would not start (tart-cli §1.3). @throws TartletError
 * `USAGE`
 */
function refuseForeignIso(disk: RunSettings['disks'][number], arch: Arch): void {
  if (disk.kind !== 'file') return;
  const [, made] = /(amd64|arm64)\.iso$/.exec(disk.path) ?? [];
  if (made === undefined || made === arch) return;
  throw new TartletError('USAGE', `${disk.path} is made for ${made}, and the VM for ${arch}`, {
    subject: disk.path,
    next: { kind: 'attach-own-kind' },
  });
}

/** As Tart does: a writable disk that another program has locked is left to it (tart-cli §1.3). */
async function refuseLocked(file: string): Promise<void> {
  const lock = await FileLock.acquireExisting(file);
  if (lock === undefined) {
    throw new TartletError('BUSY', `another program uses the disk ${file}`, {
      subject: file,
      next: { kind: 'attach-read-only' },
    });
  }
  await lock.release();
}

/**
 * The guest may write to the copy, which is thrown away with the run: so it is never waited until that is on the disk.
 */
async function copyOfImage(session: Session, { name, readOnly }: DiskOfImage, copies: Scratch[]): Promise<Disk> {
  const image = await session.images.require(name, 'attach');
  const held = await holdImage(session.images, image.digest, TO_READ, async () => plainDisk(session, name));
  try {
    await session.home.prepareForVms();
    const scratch = await Scratch.createForVm(session.home, session.platform);
    copies.push(scratch);
    const path = `${scratch.directory}/${VmFile.disk}`;
    await copyDisk(held.seen, path, session);
    return { kind: 'file', path, readOnly, sync: 'none', caching: 'automatic' };
  } finally {
    await held.release();
  }
}

/** @returns the path of the disk of an image that is there still. */
async function plainDisk(session: Session, name: RemoteName): Promise<string> {
  const { directory } = await session.images.require(name, 'attach');
  if (directory.layout === 'standalone') return `${directory.path}/${VmFile.disk}`;
  throw new TartletError('NEEDS_MACOS', `the disk of the image ${name.toString()} is stacked, in Apple's format ASIF`, {
    subject: name.toString(),
  });
}

async function resolveShares(session: Session, wanted: readonly WantedShare[], copies: Scratch[]): Promise<Share[]> {
  return Promise.all(
    [...sharesByTag(wanted)].map(async ([tag, those]) => ({
      tag,
      directories: await Promise.all(those.map(async (share) => resolveShare(session, share, copies))),
    })),
  );
}

async function resolveShare(
  session: Session,
  { name, source, readOnly }: WantedShare,
  copies: Scratch[],
): Promise<SharedDirectory> {
  if (source.kind === 'archive') {
    await session.home.prepareForVms();
    const scratch = await Scratch.createForVm(session.home, session.platform);
    copies.push(scratch);
    return { name, path: await fetchDirectory(session, source.url, scratch.directory), readOnly };
  }
  const { path } = source;
  const stats = await onDisk('share', path, async () => stat(path));
  if (stats.isDirectory()) return { name, path, readOnly };
  throw new TartletError('NOT_FOUND', `${path} is no directory`, { subject: path, next: { kind: 'share-directory' } });
}

/** What keeps a guest from being suspended, where something does. */
export function keepsFromSuspending({ shares, disks, arrives }: RunSettings): NotSuspendable | undefined {
  if (arrives === true) return 'lazy-disk';
  if (shares.length > 0) return 'shared-directories';
  return disks.some(({ kind }) => kind === 'image') ? 'copied-disk' : undefined;
}

/** @throws TartletError `GUEST_FAILED` */
export function requireSuspendable(settings: RunSettings): void {
  const why = keepsFromSuspending(settings);
  if (why !== undefined) throw new TartletError('GUEST_FAILED', WHY_NOT_SUSPENDED[why]);
}

/** In words, of a guest. */
const WHY_NOT_SUSPENDED: Readonly<Record<NotSuspendable, string>> = {
  'shared-directories': 'what it has open in the directories that are shared with it cannot be saved',
  'lazy-disk': 'its disk had not arrived yet when this run began',
  'copied-disk': 'a disk of it is a copy of an image, which is thrown away with this run',
};

export function notSuspendable(name: string, why: NotSuspendable): TartletError {
  return new TartletError('GUEST_FAILED', `the VM "${name}" cannot be suspended: ${WHY_NOT_SUSPENDED[why]}`, {
    subject: name,
    kept: 'it goes on',
    next: { kind: why === 'lazy-disk' ? 'run-with-disk' : 'run-without-attachments' },
  });
}

/**
 * Refuses to begin a guest that was suspended with what it did not have then.
 * @throws TartletError `VM_INVALID`
 */
async function refuseMemory(
  { name, directory }: { readonly name: string; readonly directory: string },
  settings: RunSettings,
): Promise<void> {
  const why = keepsFromSuspending(settings);
  if (why === undefined || !(await exists(`${directory}/${SavedState.memory}`))) return;
  const what = why === 'shared-directories' ? 'shared directories' : 'a copy of an image as a disk';
  throw new TartletError('VM_INVALID', `the VM "${name}" is suspended, and cannot go on with ${what}`, {
    subject: name,
    kept: 'it was left alone',
    next: { kind: 'drop-memory', vm: name },
  });
}

/**
 * Whether there is something for cloud-init: the guest gets it as long as it is there. What is no file is none, since a
 * link could lead to any.
 */
export async function hasSeed(directory: string): Promise<boolean> {
  return (await lstatIfThere(`${directory}/${SEED}`))?.isFile() === true;
}
