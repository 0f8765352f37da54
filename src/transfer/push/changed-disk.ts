import { isModified } from '../../home/modified-disk.ts';
import type { Digest } from '../../names/digest.ts';
import type { Session } from '../../session/session.ts';

/**
 * Says of a cached image that its disk was changed in place, if the unmodified marker beside it tells (issue 14, item
 * 11).
 *
 * @param directory of the image. @param consequence what follows from it, as a clause.
 */
export function tellOfChangedDisk(
  session: Session,
  image: { text: string; directory: string; digest: Digest },
  consequence: string,
): void {
  const { text, directory, digest } = image;
  if (!isModified(directory, digest)) return;
  session.emit({
    kind: 'note',
    subject: text,
    text: `warning: the disk of ${text} in the cache was changed after it was verified: ${consequence}`,
    next: { kind: 'deep-check-tells' },
  });
}
