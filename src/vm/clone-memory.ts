import { copyDisk } from '../fs/disk/disk-copy.ts';
import { fsyncFile } from '../fs/fsync.ts';
import { SavedState } from '../home/home-entry.ts';
import { isSameDisk, readSavedFacts, savedDisk, writeSavedFacts } from '../home/vms/saved-facts.ts';
import { VmFile } from '../home/vm-directory.ts';
import type { Session } from '../session/session.ts';

/**
 * Takes the memory of a suspended guest of QEMU along to a copy of its VM, so that the copy goes on where the guest was
 * suspended, in about a second. Where it does not belong to the disk any more, the copy begins anew, and that is told.
 *
 * @param from directory of the VM, which is locked. @param to directory of the copy, which has its disk.
 * @throws TartletError `DISK_*`
 */
export async function copyMemory(
  session: Session,
  name: string,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<void> {
  const facts = await readSavedFacts(from);
  const [first, ...others] = facts?.disks ?? [];
  if (facts === undefined || !isSameDisk(await savedDisk(`${from}/${VmFile.disk}`), first)) {
    session.emit({
      kind: 'note',
      subject: name,
      text: `${name} is suspended, and its memory does not belong to its disk any more: the clone begins anew`,
    });
    return;
  }
  const memory = `${to}/${SavedState.memory}`;
  await copyDisk(`${from}/${SavedState.memory}`, memory, session);
  await fsyncFile(memory);
  await writeSavedFacts(to, { ...facts, disks: [await savedDisk(`${to}/${VmFile.disk}`), ...others] });
}
