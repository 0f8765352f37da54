import { TartletError, unreachable } from '../errors.ts';
import { onDisk } from '../home/disk-error.ts';
import { type CopyMethod, copyDisk, shareDisk } from '../home/disk-copy.ts';
import { flushFile, writeNewFile } from '../home/folder.ts';
import { BASE_MANIFEST_FILE } from '../home/origin.ts';
import { readPlainFile } from '../home/plain-file.ts';
import { isSuspended, type VmFolder, VmFile } from '../home/vm-folder.ts';
import { notClonable } from '../transfer/stacked-download.ts';
import type { Session } from '../transfer/session.ts';

/** What is cloned, locked against whoever would change or remove it. */
export interface CloneSource {
  readonly text: string;
  readonly folder: VmFolder;
  /** Digest of the image it is or came from. */
  readonly digest: string | undefined;
  /** The file with the manifest of that image; absent for what old Tarts pulled, and for VMs that came from no image. */
  readonly manifest: string | undefined;
  /** Blobs of that image which nobody decoded here. */
  readonly unproven: readonly string[];
  /** Whether a guest may be writing to it now. */
  readonly isRunning: () => Promise<boolean>;
  readonly release: () => Promise<void>;
}

/**
 * Copies the files of a VM or an image into an empty folder, and the disk without inflating it.
 * @throws TartletError `VM_RUNNING` when a guest writes to the disk and it cannot be cloned in one moment, `MEDIA_UNSUPPORTED` for a stacked image,
 *   `DISK_*`
 */
export async function copyVm(session: Session, source: CloneSource, to: string): Promise<CopyMethod> {
  const from = source.folder.path;
  for (const file of [VmFile.config, VmFile.nvram]) await copySmall(`${from}/${file}`, `${to}/${file}`);
  switch (source.folder.layout) {
    case 'standalone':
      if (source.manifest !== undefined) await copySmall(source.manifest, `${to}/${BASE_MANIFEST_FILE}`);
      if (isSuspended(source.folder)) await copyLarge(session, `${from}/${VmFile.state}`, `${to}/${VmFile.state}`);
      return copyStandalone(session, source, `${from}/${VmFile.disk}`, `${to}/${VmFile.disk}`);
    case 'stacked-local':
      // First the manifest: from then on, nobody collects the files that it names (tart-formats §4.7).
      await session.contents.change(session.signal, async () =>
        copySmall(`${from}/${VmFile.manifest}`, `${to}/${VmFile.manifest}`),
      );
      return copyLarge(session, `${from}/${VmFile.overlay}`, `${to}/${VmFile.overlay}`);
    case 'stacked-cached':
      throw notClonable(source.text);
    default:
      return unreachable(source.folder.layout);
  }
}

/** Asks before and after: a VM may be started while its disk is being copied. */
async function copyStandalone(session: Session, source: CloneSource, from: string, to: string): Promise<CopyMethod> {
  if (await source.isRunning()) {
    if (!(await shareDisk(from, to))) throw copiedWhileRunning(source);
    await flushFile(to);
    session.emit({
      kind: 'note',
      subject: source.text,
      text: `${source.text} is running: its clone begins as if the power had been cut`,
    });
    return 'reflink';
  }
  const copied = await copyLarge(session, from, to);
  if (copied === 'sparse' && (await source.isRunning())) throw copiedWhileRunning(source);
  return copied;
}

function copiedWhileRunning({ text }: CloneSource): TartletError {
  return new TartletError(
    'VM_RUNNING',
    `the VM "${text}" is running, and this file system cannot clone it in one moment`,
    {
      subject: text,
      kept: 'it was left alone, and nothing was made',
      next: `stop it first (tart stop ${text})`,
    },
  );
}

async function copyLarge(session: Session, from: string, to: string): Promise<CopyMethod> {
  const copied = await copyDisk(from, to, session);
  await flushFile(to);
  return copied;
}

async function copySmall(from: string, to: string): Promise<void> {
  await writeNewFile(to, await onDisk('read', from, async () => readPlainFile(from)));
}
