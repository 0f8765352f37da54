import { TartletError } from '../../errors.ts';
import { readableNamesIn } from '../../fs/entry-names.ts';
import { writeNewFile } from '../../fs/fsync.ts';
import { FileLock } from '../../fs/lock/lock.ts';
import { readSmallFileIfThereSync } from '../../fs/small-file.ts';
import { LocalName } from '../../names/local-name.ts';
import type { Home } from '../home.ts';
import { OurFile } from '../home-entry.ts';
import type { LocalVms } from './local-vms.ts';

/*
 * VMs that go when the command ends which made them. Each has a mark, with its name in it, that this command keeps
 * locked: where the kernel has dropped the lock, the command was killed, and another one deletes the VM. One that got
 * another name since is kept, as its user wants it.
 */

/**
 * Marks a VM that has no name yet as one that goes.
 * @param directory in which it is made.
 * @returns the lock that keeps it, while the VM is where it will be as well.
 */
export async function markDisposable(directory: string, name: LocalName): Promise<FileLock> {
  const mark = `${directory}/${OurFile.disposable}`;
  await writeNewFile(mark, name.text);
  const lock = await FileLock.acquireExisting(mark);
  if (lock !== undefined) return lock;
  throw new TartletError('BUSY', `another process has locked ${mark}`, { subject: mark, retryable: true });
}

/** Deletes what killed commands left of such VMs. One that cannot be deleted now is there the next time. */
export async function sweepDisposables({ home, vms }: { readonly home: Home; readonly vms: LocalVms }): Promise<void> {
  for (const entry of readableNamesIn(home.vmsDirectory)) {
    const name = LocalName.tryParse(entry);
    if (name === undefined || !isMarked(vms, name)) continue;
    await deleteLeft(vms, name).catch(() => undefined);
  }
}

async function deleteLeft(vms: LocalVms, name: LocalName): Promise<void> {
  const lock = await FileLock.acquireExisting(`${vms.pathOf(name)}/${OurFile.disposable}`);
  if (lock === undefined) return;
  try {
    await vms.delete(name);
  } finally {
    await lock.release();
  }
}

function isMarked(vms: LocalVms, name: LocalName): boolean {
  try {
    return readSmallFileIfThereSync(`${vms.pathOf(name)}/${OurFile.disposable}`)?.toString() === name.text;
  } catch {
    return false; // What cannot be looked at is none of ours.
  }
}
