import { TartletError } from '../../errors.ts';
import type { Hint } from '../../hint.ts';
import { readLazyRecord } from '../lazy-record.ts';

/**
 * The error for what needs a disk that has not arrived.
 * @param what is to be done, as in "cannot be pushed".
 */
export function notArrived(path: string, name: string, what: string): TartletError {
  return new TartletError('VM_INVALID', `the VM "${name}" cannot be ${what}: its disk has not arrived yet`, {
    subject: name,
    kept: 'it was left alone',
    next: adviceToRun(path, name),
  });
}

/** What to do about a disk that has not arrived. */
export function adviceToRun(path: string, name: string): Hint {
  return { kind: 'let-disk-arrive', vm: name, image: readLazyRecord(path)?.image ?? '' };
}
