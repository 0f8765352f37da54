import { TartletError, unreachable } from '../errors.ts';
import { type CopyMethod, copyDisk, copySmallFile, shareDisk } from '../fs/disk/disk-copy.ts';
import { markUnmodified, markedState } from '../home/unmodified-marker.ts';
import { fsyncFile } from '../fs/fsync.ts';
import { atWork, type Holder, STOP_FIRST } from '../home/vms/vm-holder.ts';
import { exists } from '../fs/stats.ts';
import { OurFile, QEMU_STORE } from '../home/home-entry.ts';
import { copyPushRecord } from '../home/push-record.ts';
import { isSuspendedByTart, type VmDirectory, VmFile } from '../home/vm-directory.ts';
import { notArrived } from '../home/vms/whole-disk.ts';
import { Digest } from '../names/digest.ts';
import { tellOfChangedDisk } from '../transfer/push/changed-disk.ts';
import { notClonable } from '../transfer/pull/stacked-download.ts';
import type { Session } from '../session/session.ts';
import { copyMemory } from './clone-memory.ts';

/** What is cloned, locked against changes and removal. */
export interface CloneSource {
  /** Only an image is held: a VM may be started, or another one get its name, at any time. */
  readonly kind: 'image' | 'vm';
  readonly text: string;
  readonly directory: VmDirectory;
  /** Digest of the image it is or came from. */
  readonly digest: string | undefined;
  /**
   * The file with the manifest of that image; absent for what old Tarts pulled, and for VMs that came from no image.
   */
  readonly manifest: string | undefined;
  /** Whether it is a VM that was suspended here, and that is locked: its clone is suspended as well. */
  readonly hasMemory: boolean;
  /** Blobs of that image that were not decoded on this machine. */
  readonly unverified: readonly string[];
  /** Which process may be writing to it now. */
  readonly holder: () => Promise<Holder>;
  /** Does something with its files, all of one VM. That it was deleted or replaced meanwhile is told as what it is. */
  readonly whileThere: <T>(work: () => Promise<T>) => Promise<T>;
  readonly release: () => Promise<void>;
}

/**
 * Copies the files of a VM or an image into an empty directory, and the disk without inflating it.
 * @throws TartletError `VM_RUNNING` when a guest writes to the disk and it cannot be cloned in one moment,
 * `MEDIA_UNSUPPORTED` for a stacked image, `DISK_*`
 */
export async function copyVm(session: Session, source: CloneSource, to: string): Promise<CopyMethod> {
  const from = source.directory.path;
  for (const file of [VmFile.config, VmFile.nvram]) await copySmallFile(`${from}/${file}`, `${to}/${file}`);
  switch (source.directory.layout) {
    case 'standalone':
      if (isSuspendedByTart(source.directory))
        await copyLarge(session, `${from}/${VmFile.state}`, `${to}/${VmFile.state}`);
      await copyStore(session, source, to);
      await copyPushRecord(from, to);
      return copyWithMemory(session, source, to);
    case 'stacked-local':
      // First the manifest: from then on, no process collects the files that it names (tart-formats §4.7).
      await session.contents.change(session.signal, async () =>
        copySmallFile(`${from}/${VmFile.manifest}`, `${to}/${VmFile.manifest}`),
      );
      return copyLarge(session, `${from}/${VmFile.overlay}`, `${to}/${VmFile.overlay}`);
    case 'stacked-cached':
      throw notClonable(source.text);
    case 'lazy':
      throw notArrived(from, source.text, 'cloned');
    default:
      return unreachable(source.directory.layout);
  }
}

/** The disk first: the record of the memory says which disk it belongs to. */
async function copyWithMemory(session: Session, source: CloneSource, to: string): Promise<CopyMethod> {
  const copied = await copyMarked(session, source, to);
  if (source.hasMemory) await copyMemory(session, source.text, { from: source.directory.path, to });
  return copied;
}

/**
 * Where the guest's boot entries are, when it runs by QEMU and came from a Mac. Of one that is written to now, a copy
 * may be of two states.
 */
async function copyStore(session: Session, source: CloneSource, to: string): Promise<void> {
  const store = `${source.directory.path}/${QEMU_STORE}`;
  if (source.kind === 'image' || !(await exists(store)) || (await source.holder()) !== 'none') return;
  await copyLarge(session, store, `${to}/${QEMU_STORE}`);
}

/**
 * Copies the disk, with the manifest of what it was; marked as unmodified when it is the untouched disk of an image.
 */
async function copyMarked(session: Session, source: CloneSource, to: string): Promise<CopyMethod> {
  const { manifest } = source;
  if (manifest === undefined) return copyStandalone(session, source, to);
  const bytes = await copySmallFile(manifest, `${to}/${OurFile.baseManifest}`);
  const digest = Digest.of(bytes);
  const look = async (): Promise<string | undefined> =>
    source.kind === 'image' ? markedState(source.directory.path, digest, session.platform) : undefined;
  const before = await look();
  if (source.kind === 'image' && before === undefined)
    tellOfChangedDisk(
      session,
      { text: source.text, directory: source.directory.path, digest },
      'its clone begins with what it is now',
    );
  const copied = await copyStandalone(session, source, to);
  if (before !== undefined && (await look()) === before) await markUnmodified(to, digest, session.platform);
  return copied;
}

/** Asks before and after: a VM may be started while its disk is being copied. */
async function copyStandalone(session: Session, source: CloneSource, directory: string): Promise<CopyMethod> {
  const [from, to] = [`${source.directory.path}/${VmFile.disk}`, `${directory}/${VmFile.disk}`];
  const before = await source.holder();
  if (before !== 'none') {
    if (!(await shareDisk(from, to))) throw copiedWhileUsed(source, before);
    await fsyncFile(to);
    session.emit({
      kind: 'note',
      subject: source.text,
      text:
        `${source.text} ${before === 'program' ? 'is running' : 'is in use'}: its clone begins as if the ` +
        'power had been cut',
    });
    return 'reflink';
  }
  const copied = await copyLarge(session, from, to);
  const after = copied === 'sparse' ? await source.holder() : 'none';
  if (after !== 'none') throw copiedWhileUsed(source, after);
  return copied;
}

function copiedWhileUsed({ text }: CloneSource, holder: Exclude<Holder, 'none'>): TartletError {
  if (holder === 'command') return atWork(text);
  return new TartletError(
    'VM_RUNNING',
    `the VM "${text}" is running, and this file system cannot clone it in one moment`,
    {
      subject: text,
      kept: 'it was left alone, and nothing was made',
      next: STOP_FIRST,
    },
  );
}

async function copyLarge(session: Session, from: string, to: string): Promise<CopyMethod> {
  const copied = await copyDisk(from, to, session);
  await fsyncFile(to);
  return copied;
}
