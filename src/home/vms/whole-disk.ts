import { TartletError } from '../../errors.ts';
import { readLazyRecord } from '../lazy-record.ts';
import type { VmDirectory } from '../vm-directory.ts';

/**
 * Refuses what needs a disk while it has not arrived.
 * @param what is to be done, as in "cannot be pushed".
 * @throws TartletError `VM_INVALID`
 */
export function requireArrived(vm: VmDirectory, name: string, what: string): void {
  if (vm.layout === 'lazy') throw notArrived(vm.path, name, what);
}

/** The error of {@link requireArrived}. */
export function notArrived(path: string, name: string, what: string): TartletError {
  return new TartletError('VM_INVALID', `the VM "${name}" cannot be ${what}: its disk has not arrived yet`, {
    subject: name,
    kept: 'it was left alone',
    next: { kind: 'let-disk-arrive', vm: name, image: readLazyRecord(path)?.image ?? '' },
  });
}
