import { TartletError } from '../../errors.ts';
import { newLocalName } from '../session/usage-error.ts';
import { replacedLine } from './clone.ts';
import { archOfMachine } from '../../vm/arch.ts';
import type { Arch } from '../../vm/config.ts';
import { createLinuxVm, createVmFromImage } from '../../vm/create.ts';
import { isUrl, parseImageFlags, readSeed } from '../session/image-settings.ts';
import { type TransferOptions, withSession } from '../session/session.ts';
import type { Terminal } from '../terminal/terminal.ts';

export interface CreateCommandOptions extends TransferOptions {
  readonly linux?: true;
  readonly fromIpsw?: string;
  /** A path, or an address of the web. */
  readonly fromImage?: string;
  readonly digest?: string;
  readonly cloudInit?: string;
  readonly networkConfig?: string;
  /** GB of 10^9 bytes. */
  readonly diskSize: number;
  readonly diskFormat: 'raw' | 'asif';
  /** Undefined: the host's. */
  readonly arch?: Arch;
}

export async function runCreate(terminal: Terminal, text: string, options: CreateCommandOptions): Promise<number> {
  return withSession(
    terminal,
    async (session, say) => {
      refuseMacOnly(options);
      const name = newLocalName(text);
      const diskBytes = options.diskSize * 1_000_000_000;
      const seed = await readSeed(terminal, options, say);
      const image = parseImageFlags(terminal, options);
      const hostArch = archOfMachine(terminal.machine);
      const { replaced } =
        image === undefined
          ? await createLinuxVm(session, name, { diskBytes, arch: options.arch ?? archOf(terminal), seed })
          : await createVmFromImage(session, name, { ...image, diskBytes, arch: options.arch, hostArch, seed });
      if (replaced) say(replacedLine(name));
      return 0;
    },
    { report: options, limitRate: options.limitRate, stdout: isUrl(options.fromImage) ? 'progress' : 'result' },
  );
}

function refuseMacOnly({ fromIpsw, diskFormat, linux, fromImage }: CreateCommandOptions): void {
  if (fromIpsw !== undefined) throw needsMac('--from-ipsw installs macOS with Apple’s Virtualization framework');
  if (diskFormat === 'asif') throw needsMac('--disk-format asif needs Apple’s DiskImageKit');
  if (linux !== undefined || fromImage !== undefined) return;
  throw new TartletError('USAGE', 'say what the VM is for', {
    next: { kind: 'in-words', words: `add --linux (macOS guests are created by Tart on a Mac)` },
  });
}

/** A guest of another processor than the host's would be emulated, which is tens of times slower. */
function archOf({ machine }: Terminal): Arch {
  const arch = archOfMachine(machine);
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
