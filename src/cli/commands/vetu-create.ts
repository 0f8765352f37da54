import { TartletError } from '../../errors.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { type CreateCommandOptions, runCreate } from './create.ts';
import { runSet } from './set.ts';

/** What Vetu's `create` has besides ours. */
export interface VetuCreateOptions extends CreateCommandOptions {
  readonly cpu?: number;
  /** MiB. */
  readonly memory?: number;
  readonly kernel?: string;
  readonly initramfs?: string;
  readonly cmdline?: string;
  readonly disk?: readonly string[];
}

/**
 * `vetu create`: a VM of Linux, since Vetu knows no others. Vetu's own VMs have their kernel outside of the disk; ours
 * are Tart's, which start from it.
 *
 * @throws TartletError `USAGE` for what is given for such a kernel.
 */
export async function runVetuCreate(terminal: Terminal, name: string, options: VetuCreateOptions): Promise<number> {
  const { kernel, initramfs, cmdline, disk } = options;
  for (const [flag, value] of Object.entries({ kernel, initramfs, cmdline, disk })) {
    if (value === undefined) continue;
    throw new TartletError('USAGE', `--${flag} is for VMs of Vetu's own format, and this makes VMs of Tart's`, {
      next: { kind: 'in-words', words: `leave --${flag} out: the VM starts from its disk, by UEFI` },
    });
  }
  const exitCode = await runCreate(terminal, name, { ...options, linux: true });
  if (options.cpu === undefined && options.memory === undefined) return exitCode;
  return runSet(terminal, name, {
    ...(options.cpu === undefined ? {} : { cpu: options.cpu }),
    ...(options.memory === undefined ? {} : { memory: options.memory }),
  });
}
