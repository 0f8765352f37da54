import { TartletError } from '../errors.ts';
import { exactLstatIfThere } from '../fs/stats.ts';
import type { VmDirectory } from './vm-directory.ts';

/** How often another one may come in the place of what is being read. */
const READ_TRIES = 5;

/**
 * Reads several files of a VM or an image that no lock keeps in its place, so that all are of one: again when another
 * one came in its place meanwhile (P34).
 *
 * @param find looks for it, and throws when it is not there.
 * @throws TartletError `BUSY` when it is replaced again and again, and what `find` and `read` throw.
 */
export async function readAsOne<Found extends { readonly directory: VmDirectory }, Result>(
  find: () => Promise<Found>,
  read: (found: Found) => Promise<Result>,
): Promise<Result> {
  for (let tries = 1; ; tries += 1) {
    const { path } = (await find()).directory;
    const before = await identityOf(path);
    const found = await find();
    try {
      const result = await read(found);
      if (found.directory.path === path && (await identityOf(path)) === before) return result;
    } catch (error) {
      if (found.directory.path === path && (await identityOf(path)) === before) throw error;
    }
    if (tries === READ_TRIES) throw replaced(path);
  }
}

/**
 * Which directory lies at a path. The number of one that is gone may be given to the next one, which came into being
 * later.
 *
 * @returns undefined when none does. @throws TartletError `DISK_*`
 */
export async function identityOf(path: string): Promise<string | undefined> {
  const stats = await exactLstatIfThere(path);
  return stats === undefined ? undefined : `${stats.dev}:${stats.ino}:${stats.birthtimeNs}`;
}

/** What there is to say when something else came in the place of a VM or an image while it was being read. */
export function replaced(path: string): TartletError {
  return new TartletError('BUSY', `${path} is being replaced by another command`, {
    subject: path,
    kept: 'nothing was changed',
    next: { kind: 'run-again' },
    retryable: true,
  });
}
