import { type FileHandle, open } from 'node:fs/promises';
import { onTestFinished } from 'vitest';

/** Lets each write to a file at a position from `from` on fail with a code of the system, until the test ends. */
export async function failWritesFrom(from: number, code: string): Promise<void> {
  const handle = await open('.', 'r');
  const prototype = Object.getPrototypeOf(handle) as Pick<FileHandle, 'writev'>;
  await handle.close();
  const real = prototype.writev;
  prototype.writev = async function writev<T extends readonly NodeJS.ArrayBufferView[]>(buffers: T, position?: number) {
    if ((position ?? 0) < from) return real.call(this, buffers, position) as ReturnType<typeof real<T>>;
    throw Object.assign(new Error(`${code}: refused, write`), { code, syscall: 'write' });
  };
  onTestFinished(() => {
    prototype.writev = real;
  });
}
