import { isTartletError, TartletError } from '../errors.ts';
import type { FileLock } from '../fs/lock/lock.ts';
import { isSuspended, isSuspendedByTart } from '../home/vm-directory.ts';
import type { LocalVm } from '../home/vms/local-vms.ts';
import type { Session } from '../session/session.ts';

/*
 * What keeps a VM as it is while it is cloned, where it is more than one disk.
 */

/**
 * Keeps a VM that was suspended here from going on while its disk and its memory are copied. @returns undefined when it
 * was not, or runs now.
 */
export async function holdSuspended(session: Session, vm: LocalVm): Promise<FileLock | undefined> {
  if (!isSuspended(vm.directory) || isSuspendedByTart(vm.directory)) return undefined;
  const lock = await session.vms.hold(vm).catch((error: unknown) => {
    if (isTartletError(error, 'BUSY')) return undefined;
    throw error;
  });
  if (lock === undefined || isSuspended(vm.directory)) return lock;
  await lock.release();
  return undefined;
}

/**
 * The overlay of a stacked VM makes sense only as a whole, and without the memory that belongs to it: Tart too clones
 * none but stopped ones (tart-cli §1.2).
 */
export async function holdStopped(session: Session, vm: LocalVm): Promise<FileLock> {
  if (isSuspended(vm.directory)) {
    throw new TartletError('BUSY', `the stacked VM "${vm.name.text}" is suspended`, {
      subject: vm.name.text,
      kept: 'it was left alone',
      next: { kind: 'run-and-shut-down' },
    });
  }
  const lock = await session.vms.hold(vm);
  session.emit({
    kind: 'note',
    subject: vm.name.text,
    text: `${vm.name.text} is a stacked VM: its clone is one too, and runs with Tart on macOS 27 only`,
  });
  return lock;
}
