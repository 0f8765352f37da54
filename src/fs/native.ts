import { spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { callLibrary } from './native-binding.ts';
import { SYSTEM_ENVIRONMENT, systemProgram } from './system-program.ts';

/** Of `flock(2)`, the same on Linux and macOS. */
const Flock = { shared: 1, exclusive: 2, atOnce: 4 } as const;

/** What `flock -n` ends with when another process has the lock. */
const REFUSED = 1;

const { EWOULDBLOCK, EINTR, EAGAIN } = constants.errno;

/**
 * Tries once to lock a file for as long as `fd` is open, by `flock(2)`: the one kind that Tart takes, and that can be
 * had with and without the native binding, so that installations of both kinds exclude each other (issue 14, item 1).
 * It ends with the process, however it ends.
 *
 * @returns `unsupported` when the machine has neither the binding nor a `flock` program.
 * @throws an error with the `code` of the system.
 */
export function tryFlock(fd: number, mode: 'shared' | 'exclusive'): boolean | 'unsupported' {
  for (;;) {
    const result = callLibrary('flock', fd, Flock[mode] | Flock.atOnce);
    if (result === undefined) return flockByProgram(fd, mode);
    if (result.value === 0) return true;
    if (result.errno === EWOULDBLOCK || result.errno === EAGAIN) return false;
    if (result.errno !== EINTR) throw systemError('flock', result.errno);
  }
}

/** The program locks our descriptor, which it inherits; the lock stays when the program ends (reliability §4.1). */
function flockByProgram(fd: number, mode: 'shared' | 'exclusive'): boolean | 'unsupported' {
  const program = systemProgram('flock');
  if (program === undefined) return 'unsupported';
  const { status, error } = spawnSync(program, [mode === 'shared' ? '-s' : '-x', '-n', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', fd],
    env: SYSTEM_ENVIRONMENT,
    cwd: '/',
  });
  if (error !== undefined) return 'unsupported';
  if (status === 0) return true;
  if (status === REFUSED) return false;
  return 'unsupported';
}

/** Of `fcntl(2)` on Linux, with 64 bits. */
const Record = { ask: 36, set: 37, read: 0, write: 1, none: 2, bytes: 32 } as const;

/**
 * Tries once to take a record lock on a whole file, of its open description: what programs see that lock by `fcntl`, as
 * Vetu does (tart-cli §4.2). Linux only: elsewhere the call takes its parameters in another way.
 *
 * @param fd open for writing.
 * @returns undefined where it cannot be asked for.
 */
export function tryRecordLock(fd: number): boolean | undefined {
  if (process.platform !== 'linux') return undefined;
  const result = callLibrary('fcntl', fd, Record.set, wholeFile(Record.write));
  if (result === undefined) return undefined;
  if (result.value === 0) return true;
  if (result.errno === EAGAIN || result.errno === constants.errno.EACCES) return false;
  return undefined; // A file system without them.
}

/**
 * Whether another process has a record lock that keeps us from reading a file. Linux only.
 *
 * @returns undefined where it cannot be asked.
 */
export function hasRecordLock(fd: number): boolean | undefined {
  if (process.platform !== 'linux') return undefined;
  const record = wholeFile(Record.read);
  if (callLibrary('fcntl', fd, Record.ask, record)?.value !== 0) return undefined;
  return record.readInt16LE(0) !== Record.none;
}

/** `struct flock`: type, from where, start, length (0 is all), owner. */
function wholeFile(type: number): Buffer {
  const record = Buffer.alloc(Record.bytes);
  record.writeInt16LE(type, 0);
  return record;
}

/** Where Linux keeps the access list of a file (acl(5)). */
const ACCESS_LIST = 'system.posix_acl_access';

/**
 * Whether a file has an access list beside its mode. Where it has one, the mode shows for the group what any user named
 * in the list may have (acl(5)). Linux only.
 *
 * @param place an absolute path; symlinks are followed.
 * @returns undefined where it cannot be asked.
 */
export function hasAccessList(place: string): boolean | undefined {
  if (process.platform !== 'linux') return undefined;
  const result = callLibrary('getxattr', place, ACCESS_LIST, Buffer.alloc(1), 0);
  if (result === undefined) return undefined;
  if (result.value >= 0) return true;
  const { ENODATA, ENOTSUP, EOPNOTSUPP } = constants.errno;
  return [ENODATA, ENOTSUP, EOPNOTSUPP].includes(result.errno) ? false : undefined;
}

/** "Relative to the working directory", i.e. for absolute paths: no directory. */
const AT_FDCWD = -100;
/** `RENAME_EXCHANGE` of Linux, `RENAME_SWAP` of macOS. */
const EXCHANGE = 2;

/** Exchanges two absolute paths atomically. @returns false where the system cannot. */
export function swapPaths(from: string, to: string): boolean {
  const result =
    process.platform === 'darwin'
      ? callLibrary('renamex_np', from, to, EXCHANGE)
      : callLibrary('renameat2', AT_FDCWD, from, AT_FDCWD, to, EXCHANGE);
  // EINVAL on file systems without it; whatever else is wrong, the renames that follow will say.
  return result?.value === 0;
}

function systemError(call: string, errno: number): NodeJS.ErrnoException {
  const [code = `errno ${errno}`] = Object.entries(constants.errno).find(([, number]) => number === errno) ?? [];
  return Object.assign(new Error(`${code}: ${call}`), { code, errno: -errno, syscall: call });
}
