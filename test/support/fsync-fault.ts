import { type FileHandle, open } from 'node:fs/promises';
import { onTestFinished } from 'vitest';

/** An error of the system as Node makes it. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: refused, fsync`), { code, syscall: 'fsync' });
}

/**
 * Lets each fsync by a handle fail with a code of the system until the test ends, of directories or of files.
 * @returns the number of those that failed so far.
 */
export async function failFsync(of: 'directories' | 'files', code: string): Promise<() => number> {
  const handle = await open('.', 'r');
  const prototype = Object.getPrototypeOf(handle) as { sync: (this: FileHandle) => Promise<void> };
  await handle.close();
  const real = prototype.sync;
  let failed = 0;
  prototype.sync = async function sync(): Promise<void> {
    if ((await this.stat()).isDirectory() !== (of === 'directories')) return real.call(this);
    failed += 1;
    throw systemError(code);
  };
  onTestFinished(() => {
    prototype.sync = real;
  });
  return () => failed;
}
