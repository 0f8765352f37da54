import { TartletError } from '../errors.ts';
import { type FileState, fileState } from '../fs/file-state.ts';

/** What is done with a disk that must not change meanwhile. */
type Doing = 'push' | 'export';

/**
 * How a disk, or another file of a VM, is before and after. @throws TartletError `VM_INVALID` for an empty one,
 * `DISK_*`
 */
export async function stateOfDisk(disk: string, doing: Doing): Promise<FileState> {
  const state = await fileState(disk);
  if (state.sizeBytes > 0) return state;
  throw new TartletError('VM_INVALID', `${disk} is empty: there is nothing to ${doing}`, { subject: disk });
}

/** Another process wrote to the disk in spite of the lock. @param kept what survived. */
export function diskChanged(disk: string, doing: Doing, kept: string): TartletError {
  return new TartletError('CHUNK_CORRUPT', `${disk} was changed while it was being ${doing}ed`, {
    subject: disk,
    kept,
    next: { kind: 'stop-writer', before: doing },
  });
}
