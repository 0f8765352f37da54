import { TartletError } from '../../errors.ts';
import { newLocalName, replacedLine } from './clone.ts';
import type { Arch } from '../../vm/config.ts';
import { createLinuxVm } from '../../vm/create.ts';
import { withSession } from '../session/session.ts';
import type { Terminal } from '../terminal/terminal.ts';

export interface CreateCommandOptions {
  readonly linux?: true;
  readonly fromIpsw?: string;
  /** GB of 10^9 bytes. */
  readonly diskSize: number;
  readonly diskFormat: 'raw' | 'asif';
  /** Undefined: the host's. */
  readonly arch?: Arch;
}

/** What kernels call the two processors that a VM can have (`uname -m`): Tart's words are those of OCI platforms. */
const ARCHS: Readonly<Record<string, Arch>> = { arm64: 'arm64', aarch64: 'arm64', x86_64: 'amd64', amd64: 'amd64' };

export async function runCreate(terminal: Terminal, text: string, options: CreateCommandOptions): Promise<number> {
  return withSession(terminal, async (session, say) => {
    if (options.fromIpsw !== undefined)
      throw needsMac('--from-ipsw installs macOS with Apple’s Virtualization framework');
    if (options.diskFormat === 'asif') throw needsMac('--disk-format asif needs Apple’s DiskImageKit');
    if (options.linux === undefined) {
      throw new TartletError('USAGE', 'say what the VM is for', {
        next: { kind: 'in-words', words: `add --linux (macOS guests are created by Tart on a Mac)` },
      });
    }
    const name = newLocalName(text);
    const { replaced } = await createLinuxVm(session, name, {
      diskBytes: options.diskSize * 1_000_000_000,
      arch: options.arch ?? archOf(terminal),
    });
    if (replaced) say(replacedLine(name));
    return 0;
  });
}

/** A guest of another processor than the host's would be emulated, which is tens of times slower. */
function archOf({ machine }: Terminal): Arch {
  const arch = ARCHS[machine];
  if (arch !== undefined) return arch;
  throw new TartletError('USAGE', `a VM cannot have the processor of this machine, ${machine}`, {
    found: machine,
    next: { kind: 'in-words', words: 'choose one: --arch arm64, or --arch amd64' },
  });
}

function needsMac(why: string): TartletError {
  return new TartletError('NEEDS_MACOS', `${why}, which only macOS has`, {
    next: { kind: 'in-words', words: 'create the VM with Tart on a Mac, push it, and pull it here' },
  });
}
