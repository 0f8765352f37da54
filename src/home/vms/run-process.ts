import { readFileSync } from 'node:fs';
import { findInProcess } from '../../fs/lock/lock-owner.ts';
import { lstatIfThere } from '../../fs/stats.ts';
import { RunFile, VmFile } from '../home-entry.ts';
import type { RunRecord } from './run-record.ts';

const WRITABLE_BY_OTHERS = 0o022;

/**
 * Whether a process may be sent signals because the record says that it runs the VM. In a home of several users any of
 * them can write a record that names a process of ours: one that runs a VM has the configuration open. Where this user
 * may not look into it, the record must be of the user whose process it is.
 */
export async function mayBeSignalled(directory: string, { pid }: RunRecord): Promise<boolean> {
  switch (await findInProcess(pid, `${directory}/${VmFile.config}`)) {
    case 'open':
      return true;
    case 'not-open':
      return false;
    case 'hidden': {
      const stats = await lstatIfThere(`${directory}/${RunFile.record}`);
      return stats !== undefined && (stats.mode & WRITABLE_BY_OTHERS) === 0 && stats.uid === userOf(pid);
    }
  }
}

/** Whose a process is, from `/proc` (proc(5), `status`, `Uid`). @returns undefined when it is not there. */
function userOf(pid: number): number | undefined {
  try {
    const [, user] = /^Uid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return user === undefined ? undefined : Number(user);
  } catch {
    return undefined;
  }
}
