import { execFile } from 'node:child_process';
import { readdir, readFile, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { describeError, systemCode, TartletError } from '../../errors.ts';
import { onDisk } from '../disk-error.ts';
import { SYSTEM_ENVIRONMENT, systemProgram } from '../system-program.ts';
import { FileLock } from './lock.ts';
import { exactStatIfThere } from '../stats.ts';

/** The owner of a write lock on a file. */
export type LockOwner =
  | { readonly kind: 'none' }
  | { readonly kind: 'process'; readonly pid: number }
  /** A lock of an open file and not of a process, such as our own commands take: the kernel names no owner. */
  | { readonly kind: 'unnamed' };

/** One line of `/proc/locks` that grants a lock for writing; waiters have `->` behind the number. */
const GRANTED = /^[0-9]+: (?:POSIX|OFDLCK) +\S+ +WRITE +(-?[0-9]+) ([0-9a-f]+):([0-9a-f]+):([0-9]+) /;

/**
 * Finds the owner of a write lock on a file, as `F_GETLK` would say. Node cannot ask that: Linux lists all locks in
 * `/proc/locks`, elsewhere perl asks, which is part of macOS.
 *
 * A file that is not there, e.g. because its VM was deleted since it was looked for, is not locked.
 *
 * @throws TartletError `DISK_*` when the list or the file cannot be read, `DISK_UNSUPPORTED` where there is no way to
 * tell: guessing that it is free could delete a running VM.
 */
export async function findLockOwner(file: string, platform: NodeJS.Platform): Promise<LockOwner> {
  const found = await exactStatIfThere(file);
  if (found === undefined) return { kind: 'none' };
  const owner = await (platform === 'linux' ? askList(found) : askPerl(file));
  // A command of ours without the native binding has no other lock, and the list leaves out what a program that has
  // ended took for it.
  if (owner.kind === 'none' && (await FileLock.isHeld(file))) return { kind: 'unnamed' };
  return owner;
}

async function askList({ dev, ino }: { readonly dev: bigint; readonly ino: bigint }): Promise<LockOwner> {
  const list = await onDisk('read', '/proc/locks', async () => readFile('/proc/locks', 'utf8'));
  let owner: LockOwner = { kind: 'none' };
  for (const line of list.split('\n')) {
    const [, pidText, major, minor, inode] = GRANTED.exec(line) ?? [];
    if (inode === undefined || BigInt(inode) !== ino) continue;
    const pid = Number(pidText);
    const isSameDevice = `${major}:${minor}` === deviceText(dev);
    if (pid > 0 && (isSameDevice || (await hasOpen(pid, dev, ino)))) return { kind: 'process', pid };
    if (pid <= 0 && isSameDevice) owner = { kind: 'unnamed' };
  }
  return owner;
}

/** A device number as `/proc/locks` shows it: two hexadecimal digits or more for each part. */
function deviceText(dev: bigint): string {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
  return [major, minor].map((part) => part.toString(16).padStart(2, '0')).join(':');
}

/**
 * File systems of several volumes (btrfs) or layers (overlayfs) list another device than `stat` gives: then the process
 * must have the file open. One of another user, whom we could not signal anyway, counts as having it not.
 */
async function hasOpen(pid: number, dev: bigint, ino: bigint): Promise<boolean> {
  return (await lookIntoProcess(pid, { dev, ino })) === 'open';
}

/** Whether a process has a file open; `hidden` where this user may not look into it. */
export type ProcessFile = 'open' | 'not-open' | 'hidden';

/** Whether a process of Linux has a file open. It has not when it has ended, or when the file is not there. */
export async function findInProcess(pid: number, file: string): Promise<ProcessFile> {
  const found = await exactStatIfThere(file);
  return found === undefined ? 'not-open' : lookIntoProcess(pid, found);
}

async function lookIntoProcess(
  pid: number,
  { dev, ino }: { readonly dev: bigint; readonly ino: bigint },
): Promise<ProcessFile> {
  try {
    for (const fd of await readdir(`/proc/${pid}/fd`)) {
      const stats = await stat(`/proc/${pid}/fd/${fd}`, { bigint: true }).catch(() => undefined);
      if (stats?.ino === ino && stats.dev === dev) return 'open';
    }
    return 'not-open';
  } catch (cause) {
    const code = systemCode(cause) ?? '';
    if (['ENOENT', 'ESRCH'].includes(code)) return 'not-open'; // Gone meanwhile.
    if (['EACCES', 'EPERM'].includes(code)) return 'hidden';
    throw cause;
  }
}

/**
 * Asks the kernel with `fcntl(F_GETLK)`, as a reader would, which process keeps us from reading: Node cannot, and perl
 * is part of macOS. The record that `fcntl` takes differs between systems; prints the id of the process that holds a
 * write lock, no positive number for the lock of an open file.
 */
const QUERY = `use Fcntl;
open(my $file, '+<', $ARGV[0]) or exit 3;
my $mac = $^O eq 'darwin';
my $record = $mac ? pack('qqlss', 0, 0, 0, F_RDLCK, 0) : pack('ssx4qqlx4', F_RDLCK, 0, 0, 0, 0);
fcntl($file, F_GETLK, $record) or exit 4;
my ($type, $pid) = $mac ? (unpack('qqlss', $record))[3, 2] : (unpack('ssx4qql', $record))[0, 4];
print $type == F_UNLCK ? 'free' : "held $pid";`;

/** The script could not open the file for writing. */
const NOT_WRITABLE = 3;

/** Where no list of locks can be read. A file that cannot be opened for writing is not locked. */
async function askPerl(file: string): Promise<LockOwner> {
  try {
    const { stdout } = await promisify(execFile)(systemProgram('perl') ?? '/usr/bin/perl', ['-e', QUERY, '--', file], {
      timeout: 5000,
      env: SYSTEM_ENVIRONMENT,
    });
    const pid = /^held (-?\d+)$/.exec(stdout)?.[1];
    if (pid === undefined) return { kind: 'none' };
    return Number(pid) > 0 ? { kind: 'process', pid: Number(pid) } : { kind: 'unnamed' };
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === NOT_WRITABLE) return { kind: 'none' };
    throw new TartletError('DISK_UNSUPPORTED', `cannot find out whether ${file} is locked: ${describeError(cause)}`, {
      subject: file,
      next: { kind: 'install-perl' },
      cause,
    });
  }
}
