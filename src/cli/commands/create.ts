import { TartletError } from '../../errors.ts';
import { newLocalName } from './clone.ts';
import { createLinuxVm } from '../../vm/create.ts';
import { withSession } from '../session.ts';
import type { Terminal } from '../terminal.ts';

export interface CreateCommandOptions {
  readonly linux?: true;
  readonly fromIpsw?: string;
  /** GB of 10^9 bytes. */
  readonly diskSize: number;
  readonly diskFormat: 'raw' | 'asif';
  readonly arch: 'arm64' | 'amd64';
}

export async function runCreate(terminal: Terminal, text: string, options: CreateCommandOptions): Promise<number> {
  return withSession(terminal, async (session) => {
    if (options.fromIpsw !== undefined)
      throw needsMac('--from-ipsw installs macOS with Apple’s Virtualization framework');
    if (options.diskFormat === 'asif') throw needsMac('--disk-format asif needs Apple’s DiskImageKit');
    if (options.linux === undefined) {
      throw new TartletError('USAGE', 'say what the VM is for', {
        next: `add --linux (macOS guests are created by Tart on a Mac)`,
      });
    }
    await createLinuxVm(session, newLocalName(text), {
      diskBytes: options.diskSize * 1_000_000_000,
      arch: options.arch,
    });
    return 0;
  });
}

function needsMac(why: string): TartletError {
  return new TartletError('NEEDS_MACOS', `${why}, which only macOS has`, {
    next: 'create the VM with Tart on a Mac, push it, and pull it here',
  });
}
