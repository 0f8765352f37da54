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
  if (vm.directory.layout !== 'lazy') return vm;
  // Loaded only here: it is rare.
  const { completeVm } = await import('./complete.ts');
  return completeVm(session, vm, options);
}
