import { isDiskError, isTartletError } from '../../errors.ts';
import { exists } from '../../fs/stats.ts';
import { LazyFile } from '../../home/home-entry.ts';
import { removeLazyFiles } from '../../home/vms/lazy-files.ts';
import type { LocalVm } from '../../home/vms/local-vms.ts';
import type { LocalName } from '../../names/local-name.ts';
import type { Session } from '../../session/session.ts';
import type { CompleteOptions } from './complete.ts';

/**
 * A VM for what needs its disk: one whose disk has not arrived yet gets it first.
 *
 * @throws TartletError `VM_NOT_FOUND`, `VM_INVALID`, and those of `completeVm`.
 */
export async function requireWholeVm(session: Session, name: LocalName, options: CompleteOptions): Promise<LocalVm> {
  const vm = await session.vms.require(name);
  if (vm.directory.layout !== 'lazy') {
    await removeLeft(session, vm);
    return vm;
  }
  // Loaded only here: it is rare.
  const { completeVm } = await import('./complete.ts');
  return completeVm(session, vm, options);
}

/** What a command left that was killed when the disk had its name; of a VM that runs, its `run` removes it. */
async function removeLeft(session: Session, vm: LocalVm): Promise<void> {
  if (!(await exists(`${vm.directory.path}/${LazyFile.record}`))) return;
  try {
    const lock = await session.vms.hold(vm);
    try {
      await removeLazyFiles(vm.directory.path);
    } finally {
      await lock.release();
    }
  } catch (error) {
    // It is in the way of nothing.
    if (!isTartletError(error, 'BUSY') && !isDiskError(error)) throw error;
  }
}
