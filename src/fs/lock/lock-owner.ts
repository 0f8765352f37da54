import { readdir, readFile, stat } from 'node:fs/promises';
import { systemCode } from '../../errors.ts';
import { onDisk } from '../disk-error.ts';
import { FileLock } from './lock.ts';
import { exactStatIfThere } from '../stats.ts';

/** Who holds a write lock on a file. */
export type LockOwner =
  | { readonly kind: 'nobody' }
  | { readonly kind: 'process'; readonly pid: number }
  /** A lock of an open file and not of a process, such as our own commands take: the kernel names no owner. */
  | { readonly kind: 'unnamed' };

/** One line of `/proc/locks` that grants a lock for writing; waiters have `->` behind the number. */
const GRANTED = /^[0-9]+: (?:POSIX|OFDLCK) +\S+ +WRITE +(-?[0-9]+) ([0-9a-f]+):([0-9a-f]+):([0-9]+) /;

/**
 * Finds who holds a write lock on a file, as `F_GETLK` would say: Node cannot ask that, and Linux lists all locks in `/proc/locks`. Only for Linux.
 *
 * A file that is not there, e.g. because its VM was deleted since it was looked for, is locked by nobody.
 *
 * @throws TartletError `DISK_*` when the list or the file cannot be read.
 */
export async function findLockOwner(file: string): Promise<LockOwner> {
  const found = await exactStatIfThere(file);
  if (found === undefined) return { kind: 'nobody' };
  const { dev, ino } = found;
  const list = await onDisk('read', '/proc/locks', async () => readFile('/proc/locks', 'utf8'));
  let owner: LockOwner = { kind: 'nobody' };
  for (const line of list.split('\n')) {
    const [, pidText, major, minor, inode] = GRANTED.exec(line) ?? [];
    if (inode === undefined || BigInt(inode) !== ino) continue;
    const pid = Number(pidText);
    const isSameDevice = `${major}:${minor}` === deviceText(dev);
    if (pid > 0 && (isSameDevice || (await hasOpen(pid, dev, ino)))) return { kind: 'process', pid };
    if (pid <= 0 && isSameDevice) owner = { kind: 'unnamed' };
  }
  // A command of ours without the native binding has no other lock, and the list leaves out what a program that has
  // ended took for it.
  if (owner.kind === 'nobody' && (await FileLock.isHeld(file))) return { kind: 'unnamed' };
  return owner;
}

/** A device number as `/proc/locks` shows it: two hexadecimal digits or more for each part. */
function deviceText(dev: bigint): string {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
  return [major, minor].map((part) => part.toString(16).padStart(2, '0')).join(':');
}

/** File systems of several volumes (btrfs) or layers (overlayfs) list another device than `stat` gives: then the process must have the file open. */
async function hasOpen(pid: number, dev: bigint, ino: bigint): Promise<boolean> {
  try {
    for (const fd of await readdir(`/proc/${pid}/fd`)) {
      const stats = await stat(`/proc/${pid}/fd/${fd}`, { bigint: true }).catch(() => undefined);
      if (stats?.ino === ino && stats.dev === dev) return true;
    }
    return false;
  } catch (cause) {
    // Gone meanwhile, or somebody else's, whom we could not signal anyway.
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(systemCode(cause) ?? '')) return false;
    throw cause;
  }
}
