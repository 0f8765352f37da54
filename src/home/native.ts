import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';

/** What we use of `fs-native-extensions`, which brings no types. */
interface NativeExtensions {
  tryLock(fd: number, options: { readonly shared: boolean }): boolean;
  unlock(fd: number): void;
  swap(from: string, to: string): Promise<void>;
}

let loaded: NativeExtensions | 'absent' | undefined;

/** The native add-on, or undefined where it has no build (musl): everything that uses it has another way. */
function native(): NativeExtensions | undefined {
  if (loaded === undefined) {
    try {
      loaded = createRequire(import.meta.url)('fs-native-extensions') as NativeExtensions;
    } catch {
      loaded = 'absent';
    }
  }
  return loaded === 'absent' ? undefined : loaded;
}

/**
 * Tries once to lock a file for as long as `fd` is open: an open-file-description lock on Linux, `flock` on macOS.
 * Both end with the process, however it ends. Without the add-on, util-linux's `flock` locks our inherited descriptor.
 *
 * @returns `unsupported` when the machine has neither.
 */
export function tryLockDescriptor(fd: number, shared: boolean): boolean | 'unsupported' {
  const extensions = native();
  if (extensions !== undefined) return extensions.tryLock(fd, { shared });
  const { status, error } = spawnSync('flock', ['-n', shared ? '-s' : '-x', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', fd],
  });
  if (error !== undefined) return 'unsupported';
  return status === 0;
}

/** Exchanges two paths atomically. @returns false where the system cannot. */
export async function swapPaths(from: string, to: string): Promise<boolean> {
  const extensions = native();
  if (extensions === undefined) return false;
  try {
    await extensions.swap(from, to);
    return true;
  } catch {
    return false; // EINVAL on file systems without it; whatever else is wrong, the renames that follow will say.
  }
}

/**
 * Whether another process holds a write lock on an open file. Asking takes a read lock for a moment, which no other asker minds.
 * For Linux alone: on macOS the add-on locks by `flock`, which does not see the `fcntl` locks that Tart takes.
 *
 * @returns undefined without the add-on.
 */
export function isWriteLocked(fd: number): boolean | undefined {
  const extensions = native();
  if (extensions === undefined) return undefined;
  if (!extensions.tryLock(fd, { shared: true })) return true;
  extensions.unlock(fd);
  return false;
}
