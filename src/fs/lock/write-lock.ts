import { findLockOwner } from './lock-owner.ts';
import { hasRecordLock, tryFlock } from '../native.ts';
import { openPlainFile } from '../plain-file.ts';

/**
 * Whether another process holds a write lock on a file: how Tart, Vetu and we tell that a VM runs (tart-cli §4.2). They
 * lock by `fcntl`; our own commands by `flock` too, which is all that they can do without the native binding. A file
 * that cannot be opened for writing is not locked, by the same rule.
 *
 * @throws TartletError `DISK_UNSUPPORTED` where there is no way to tell: guessing "no" could delete a running VM.
 */
export async function hasWriteLock(file: string, platform: NodeJS.Platform): Promise<boolean> {
  const handle = await openPlainFile(file, 'write').catch(() => undefined);
  if (handle === undefined) return false;
  try {
    return tryFlock(handle.fd, 'shared') === false || (await hasForeignLock(handle.fd, file, platform));
  } finally {
    await handle.close();
  }
}

async function hasForeignLock(fd: number, file: string, platform: NodeJS.Platform): Promise<boolean> {
  // Without the binding the list of all locks tells; its devices may mislead on layered file systems.
  const isLocked = platform === 'linux' ? hasRecordLock(fd) : undefined;
  return isLocked ?? (await findLockOwner(file, platform)).kind !== 'none';
}
