import type * as promises from 'node:fs/promises';

/** What was asked of the file system since {@link CountedCalls.reset}. */
export class CountedCalls {
  /** Calls that read: of directories, of files, of what lies at a path. */
  calls = 0;
  /** Names that directories gave. */
  names = 0;

  reset(): void {
    this.calls = 0;
    this.names = 0;
  }

  /** The same functions, which count. */
  around(real: typeof promises): typeof promises {
    const counted =
      <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
      async (...args: A): Promise<R> => {
        this.calls += 1;
        const result = await call(...args);
        if (Array.isArray(result)) this.names += result.length;
        return result;
      };
    return {
      ...real,
      readdir: counted(real.readdir) as typeof real.readdir,
      readFile: counted(real.readFile) as typeof real.readFile,
      open: counted(real.open),
      stat: counted(real.stat) as typeof real.stat,
      lstat: counted(real.lstat) as typeof real.lstat,
      unlink: counted(real.unlink),
      rename: counted(real.rename),
    };
  }
}
