import { type ErrorFacts, TartletError } from '../errors.ts';
import type { Hint } from '../hint.ts';
import { shown } from '../oci/shown.ts';

/** The one shape of a complaint about an archive that is damaged, or made to do harm. */
export function brokenArchive(archive: string, why: string, facts: ErrorFacts = {}): TartletError {
  return new TartletError('ARCHIVE_INVALID', `${shown(archive, 200)} cannot be imported: ${why}`, {
    subject: archive,
    kept: 'nothing was changed',
    ...facts,
  });
}

/** The one shape of a complaint about a file that is something else than an archive we read. */
export function otherArchive(archive: string, what: string, next: Hint): TartletError {
  return new TartletError('MEDIA_UNSUPPORTED', `${shown(archive, 200)} is ${what}`, {
    subject: archive,
    kept: 'nothing was changed',
    next,
  });
}
