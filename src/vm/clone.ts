import { isTartletError, TartletError } from '../errors.ts';
import type { CopyMethod } from '../fs/disk/disk-copy.ts';
import { exists } from '../fs/stats.ts';
import { holdImage, TO_READ } from '../home/images/image-lock.ts';
import { OurFile, SavedState } from '../home/home-entry.ts';
import { type Origin, readOrigin, unverifiedBlobs, writeOrigin } from '../home/origin.ts';
import { Scratch } from '../home/scratch.ts';
import { neverSharesBlocks } from '../fs/disk/shared-block.ts';
import { isOnOneDisk } from '../fs/space.ts';
import { identityOf } from '../home/still-there.ts';
import { sweep } from '../home/prune/sweep.ts';
import { isSuspendedByTart, VmFile } from '../home/vm-directory.ts';
import { Digest } from '../names/digest.ts';
import { LocalName } from '../names/local-name.ts';
import { RemoteName } from '../names/remote-name.ts';
import { requireWholeVm } from '../lazy-disk/arrival/whole-vm.ts';
import { pull, type PullOptions } from '../transfer/pull/pull.ts';
import { makeRoom } from '../transfer/pull/room.ts';
import { notClonable } from '../transfer/pull/stacked-download.ts';
import type { Session } from '../session/session.ts';
import { type CloneSource, copyVm } from './clone-copy.ts';
import { holdStopped, holdSuspended } from './clone-hold.ts';
import { changeMac, hasTakenMac } from './mac-collision.ts';
import { copySeedFile } from './seed-file.ts';

/** As in Tart (tart-cli §1.2). */
const DEFAULT_PRUNE_LIMIT_BYTES = 100 * 1024 ** 3;

/** How an image that is not cached is pulled, and how much room may be made for the VM. */
export interface CloneOptions extends PullOptions {
  /** Most bytes of room to make for what the new VM will write into the holes of its disk; default 100 GiB. */
  readonly pruneLimitBytes?: number;
  /**
   * Gives the new VM a MAC address of its own also where no VM of this home has the source's: Vetu does
   * (run-fleet-demand §4.1).
   */
  readonly newMac?: boolean;
  /** Does something with the files of the new VM, before it has its name. */
  readonly beforeNamed?: (directory: string) => Promise<void>;
}

/** The VM that was made. */
export interface CloneOutcome {
  readonly name: LocalName;
  /** Whether the disk shares its blocks with the source or was copied. */
  readonly copied: CopyMethod;
  /** Of the image that was cloned; undefined for a VM, whatever it once came from. */
  readonly digest: Digest | undefined;
  /** Whether a stopped VM of that name went for it. */
  readonly replaced: boolean;
}

/**
 * Makes a local VM from an image or another VM. A cached image needs no network, whatever its tag leads to in the
 * registry now; one that is not cached is pulled. A stopped VM of the new name is replaced, as Tart does; a running one
 * never.
 *
 * The clone of a VM that was suspended here is suspended as well: it goes on from a copy of the memory, with a network
 * card of its own.
 *
 * A running VM is cloned only where the file system does that in one moment, as if the power had been cut; a copy that
 * takes its time would be a disk that never was (tart-cli §7 #11).
 *
 * A VM whose disk has not arrived yet gets it first.
 *
 * A stacked VM is copied with its overlay; a stacked image cannot become a VM here, because only macOS can make an
 * overlay.
 *
 * @throws TartletError `VM_NOT_FOUND`, `VM_RUNNING` for either of the two, `VM_EXISTS`, `BUSY` for a stacked VM that is
 * not stopped, `MEDIA_UNSUPPORTED` for a stacked image, `DISK_*`, and those of {@link pull}.
 */
export async function cloneVm(
  session: Session,
  sourceText: string,
  name: LocalName,
  options: CloneOptions = {},
): Promise<CloneOutcome> {
  await session.vms.refuseRunning(name);
  const source = await openSource(session, sourceText, options);
  try {
    if (source.directory.layout === 'stacked-cached') throw notClonable(source.text);
    await session.home.prepareForVms();
    await sweep(session);
    await source.whileThere(async () =>
      makeRoomFor(session, source, name, options.pruneLimitBytes ?? DEFAULT_PRUNE_LIMIT_BYTES),
    );
    const scratch = await Scratch.createForVm(session.home, session.platform);
    try {
      const copied = await source.whileThere(async () => {
        const method = await copyVm(session, source, scratch.directory);
        await takeSeed(source, scratch.directory, name);
        return method;
      });
      await writeOrigin(scratch.directory, {
        version: 1,
        via: 'clone',
        source: source.text,
        digest: source.digest,
        clonedAt: session.now().toISOString(),
        ...(source.unverified.length === 0 ? {} : { unproven: [...source.unverified] }),
      });
      await options.beforeNamed?.(scratch.directory);
      const replaced = await session.vms.underLock(session.signal, async () => {
        const made = { directory: scratch.directory, source: source.text, name };
        // A VM that Tart suspended cannot change its own (tart-cli §4.10).
        const hasOwn = isSuspendedByTart(source.directory) || !(await hasTakenMac(session, made));
        if (options.newMac === true || !hasOwn) await changeMac(made);
        return session.vms.publish(scratch, name);
      });
      const digest = source.kind === 'image' && source.digest !== undefined ? Digest.parse(source.digest) : undefined;
      return { name, copied, digest, replaced };
    } finally {
      await scratch.dispose();
    }
  } finally {
    await source.release();
  }
}

async function openSource(session: Session, text: string, options: PullOptions): Promise<CloneSource> {
  return RemoteName.looksRemote(text)
    ? openImage(session, RemoteName.parse(text), options)
    : openVm(session, LocalName.ofExisting(text), options);
}

async function openVm(session: Session, name: LocalName, { concurrency }: PullOptions): Promise<CloneSource> {
  const before = await identityOf(session.vms.pathOf(name));
  const vm = await requireWholeVm(session, name, { what: 'cloned', concurrency });
  await session.vms.touch(vm, session.now());
  const lock = vm.directory.layout === 'standalone' ? await holdSuspended(session, vm) : await holdStopped(session, vm);
  return {
    kind: 'vm',
    text: name.text,
    directory: vm.directory,
    hasMemory: lock !== undefined && vm.directory.layout === 'standalone',
    ...(await ancestry(vm.directory.path, OurFile.baseManifest)),
    holder: async () => (lock === undefined ? session.vms.holder(name) : 'none'),
    whileThere: async (work) => session.vms.whileThere(vm, work, before),
    release: async () => lock?.release(),
  };
}

/**
 * Room for the copy, where blocks cannot be shared, and for what the VM will write into the holes of its disk. Only
 * where the cache lies on the same disk as the VMs: else nothing that could be deleted would help.
 */
async function makeRoomFor(session: Session, source: CloneSource, name: LocalName, limitBytes: number): Promise<void> {
  const { allocatedBytes, logicalBytes } = source.directory;
  const { vmsDirectory, cacheDirectory } = session.home;
  if (!(await isOnOneDisk(vmsDirectory, cacheDirectory))) return;
  const copied = (await neverSharesBlocks(source.directory.linkedDisk ?? source.directory.path)) ? allocatedBytes : 0;
  const holes = Math.max(0, Math.min(logicalBytes - allocatedBytes, limitBytes));
  await makeRoom(session, name.text, { atLeast: copied, atMost: copied + holes });
}

/**
 * What a directory tells about the image that it is or began as. Of a record that cannot be read, nothing is handed on.
 */
async function ancestry(
  directory: string,
  manifest: string,
): Promise<Pick<CloneSource, 'digest' | 'manifest' | 'unverified'>> {
  let origin: Origin | undefined;
  try {
    origin = await readOrigin(directory);
  } catch (error) {
    if (!isTartletError(error, 'STORE_DAMAGED')) throw error;
    return { digest: undefined, manifest: undefined, unverified: [] };
  }
  const file = `${directory}/${manifest}`;
  return {
    digest: origin?.via === 'clone' || origin?.via === 'import' ? origin.digest : undefined,
    manifest: (await exists(file)) ? file : undefined,
    unverified: unverifiedBlobs(origin),
  };
}

/**
 * Holds the image's lock for reading: what is being copied cannot be pulled over, deleted or collected (tart-cli §7
 * #13).
 */
async function openImage(session: Session, name: RemoteName, options: PullOptions): Promise<CloneSource> {
  // The digest of an index is a name for the registry only: in the cache the image lies under its own.
  let wanted = name;
  for (let attempt = 0; ; attempt += 1) {
    const image = await session.images.find(wanted);
    if (image !== undefined) {
      const held = await holdImage(session.images, image.digest, { ...TO_READ, signal: session.signal }, async () => {
        const isThere = (await session.images.find(name.withDigest(image.digest))) !== undefined;
        return isThere ? ancestry(image.directory.path, VmFile.manifest) : undefined;
      });
      if (held.seen !== undefined) {
        await session.images.touch(image.directory.path, session.now());
        return {
          kind: 'image',
          text: name.toString(),
          directory: image.directory,
          hasMemory: false,
          ...held.seen,
          digest: image.digest.toString(),
          holder: () => Promise.resolve('none'),
          whileThere: async (work) => work(), // Its lock keeps it there.
          release: held.release,
        };
      }
      await held.release();
    }
    if (attempt === 2)
      throw new TartletError('BUSY', `${name.toString()} keeps being deleted by another command`, { retryable: true });
    // A stacked image would be fetched for nothing: no VM can be made of it here.
    const { digest } = await pull(session, name, { ...options, accept: 'flat' });
    if (name.digest !== undefined) wanted = name.withDigest(digest);
  }
}

/** Images have none: what a VM is told at its first start never leaves this machine. */
async function takeSeed(source: CloneSource, directory: string, name: LocalName): Promise<void> {
  if (source.kind === 'image') return;
  // Asked of the copy: not every suspended guest goes on in it.
  const memories = await Promise.all(
    [VmFile.state, SavedState.memory].map(async (file) => exists(`${directory}/${file}`)),
  );
  await copySeedFile(source.directory.path, { directory, vmName: name.text, goesOn: memories.includes(true) });
}
