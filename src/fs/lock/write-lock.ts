import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describeError, TartletError } from '../../errors.ts';
import { findLockOwner } from './lock-owner.ts';
import { hasRecordLock, tryFlock } from '../native.ts';
import { openPlainFile } from '../plain-file.ts';
import { SYSTEM_ENVIRONMENT, systemProgram } from '../system-program.ts';

/**
 * Asks the kernel with `fcntl(F_GETLK)`, as a reader would, who keeps us from reading: Node cannot, and perl is part of macOS. The
 * record that `fcntl` takes differs between systems; prints 1 when somebody holds a write lock.
 */
const QUERY = `use Fcntl;
open(my $file, '+<', $ARGV[0]) or exit 3;
my $mac = $^O eq 'darwin';
my $record = $mac ? pack('qqlss', 0, 0, 0, F_RDLCK, 0) : pack('ssx4qqlx4', F_RDLCK, 0, 0, 0, 0);
fcntl($file, F_GETLK, $record) or exit 4;
my $type = $mac ? (unpack('qqlss', $record))[3] : (unpack('ssx4qql', $record))[0];
print $type == F_UNLCK ? 0 : 1;`;

/** The script could not open the file for writing. */
const NOT_WRITABLE = 3;

/**
 * Whether another process holds a write lock on a file: how Tart, Vetu and we tell that a VM runs (tart-cli §4.2). They
 * lock by `fcntl`; our own commands by `flock` too, which is all that they can do without the native binding. A file
 * that cannot be opened for writing is not locked, by the same rule.
 *
 * @throws TartletError `DISK_UNSUPPORTED` where nobody can tell: guessing "no" could delete a running VM.
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
  if (platform !== 'linux') return askPerl(file);
  // Without the binding the list of all locks tells; its devices may mislead on layered file systems.
  return hasRecordLock(fd) ?? (await findLockOwner(file)).kind !== 'nobody';
}

/** @internal exported for its test on Linux: there is no Mac in our CI. */
export async function askPerl(file: string): Promise<boolean> {
  try {
    const { stdout } = await promisify(execFile)(systemProgram('perl') ?? '/usr/bin/perl', ['-e', QUERY, '--', file], {
      timeout: 5000,
      env: SYSTEM_ENVIRONMENT,
    });
    return stdout === '1';
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === NOT_WRITABLE) return false;
    throw new TartletError('DISK_UNSUPPORTED', `cannot find out whether ${file} is locked: ${describeError(cause)}`, {
      subject: file,
      next: 'install perl, which macOS brings along as /usr/bin/perl',
      cause,
    });
  }
}
