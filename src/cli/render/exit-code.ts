import { isTartletError } from '../../errors.ts';
import { ERROR_KINDS } from './error-kind.ts';
import { isAbort } from './error.ts';

/** What the process ends with after this error. Whatever is not ours is a plain failure. */
export function exitCodeOf(error: unknown): number {
  if (isTartletError(error)) return ERROR_KINDS[error.code].exitCode;
  return ERROR_KINDS[isAbort(error) ? 'INTERRUPTED' : 'INTERNAL'].exitCode;
}
