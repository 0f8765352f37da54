import { lstat } from 'node:fs/promises';
import { systemCode } from '../errors.ts';
import { diskError } from './disk-error.ts';

/** What lies at a path; links are not followed. @throws TartletError `DISK_*` */
export async function kindOf(at: string): Promise<'nothing' | 'link' | 'folder' | 'file'> {
  try {
    const stats = await lstat(at);
    if (stats.isSymbolicLink()) return 'link';
    return stats.isDirectory() ? 'folder' : 'file';
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(cause) ?? '')) return 'nothing';
    throw diskError(cause, 'look at', at);
  }
}
