import { stat } from 'node:fs/promises';
import { onDisk } from './disk-error.ts';

/** What two looks at a file are compared by. */
export interface FileState {
  readonly sizeBytes: number;
  /** Differs when the file was written to, or another one is in its place. */
  readonly written: string;
  /** Differs also when a process set its times back after writing, or changed anything else about it. */
  readonly touched: string;
  /** When it was changed last in any way, in nanoseconds by the clock of its file system; no program can set it. */
  readonly changedNs: bigint;
}

/** How a file is now. @throws TartletError `DISK_*`, also when there is none. */
export async function fileState(path: string): Promise<FileState> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await onDisk('look at', path, async () => stat(path, { bigint: true }));
  const written = `${ino} ${size} ${mtimeNs}`;
  return { sizeBytes: Number(size), written, touched: `${dev} ${written} ${ctimeNs}`, changedNs: ctimeNs };
}
