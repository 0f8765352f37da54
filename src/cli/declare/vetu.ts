import type { Command } from 'commander';
import type { VetuCreateOptions } from '../commands/vetu-create.ts';
import { ACCOUNTS } from './accounts.ts';
import type { CommandGroup, Declaration } from './declaration.ts';
import { GUEST } from './guest.ts';
import { IMAGES } from './images.ts';
import { MACHINE } from './machine.ts';
import { repeated, UINT16_MAX, wholeNumber } from './option-types.ts';
import { SERVICES } from './services.ts';
import { VMS } from './vms.ts';

/** The least that IPv4 asks of every network, in bytes (RFC 791 §3.2). */
const MIN_MTU = 68;

/**
 * What we answer to as `vetu`: Vetu's commands, and no others (run-fleet-demand §2, §b.1). They are ours, with all of
 * their options, so that `list --format json` works as well, which Orchard needs; `run` and `create` have Vetu's
 * besides.
 */
export const VETU: readonly CommandGroup[] = [
  group('Images:', IMAGES, ['pull', 'push', 'list', 'fqn']),
  {
    title: 'Virtual machines:',
    commands: { create: declareCreate, ...group('', VMS, ['clone', 'delete']).commands },
  },
  group('Virtual machines:', MACHINE, ['set']),
  {
    title: 'Running VMs:',
    commands: { run: declareRun, ...group('', GUEST, ['stop', 'ip']).commands },
  },
  group('Accounts:', ACCOUNTS, ['login', 'logout']),
  group('Tartlet:', SERVICES, ['completion', '__complete']),
];

function group(title: string, { commands }: CommandGroup, names: readonly string[]): CommandGroup {
  return { title, commands: Object.fromEntries(Object.entries(commands).filter(([name]) => names.includes(name))) };
}

/** Declares a command as Tart's dialect has it. */
function asInTart({ commands }: CommandGroup, name: string, declaration: Declaration): Command {
  commands[name]?.(declaration);
  const command = declaration.program.commands.find((each) => each.name() === name);
  if (command === undefined) throw new Error(`there is no command ${name}`);
  return command;
}

function declareRun(declaration: Declaration): void {
  const command = asInTart(GUEST, 'run', declaration)
    .option('--net-host-mtu <bytes>', 'Largest packet that the guest sends', wholeNumber(MIN_MTU, UINT16_MAX))
    .option(
      '--device <parameters>',
      'Give a PCI device of this machine to the guest, like path=/sys/bus/pci/devices/0000:01:00.0; may ' +
        'be given several times',
      repeated,
    );
  for (const option of command.options) {
    if (option.long === '--net-host')
      option.description = 'The network of this host, by which the guest reaches others';
    // Vetu is for Linux.
    if (option.description.includes('on a Mac only')) option.hideHelp();
  }
}

function declareCreate(declaration: Declaration): void {
  asInTart(VMS, 'create', declaration)
    .option('--cpu <n>', 'Number of processors', wholeNumber(1, UINT16_MAX))
    .option('--memory <mib>', 'Memory in MiB (2^20 bytes)', wholeNumber(1, 2 ** 32))
    .option('--kernel <path>', 'Refused: VMs start from their disks here')
    .option('--initramfs <path>', 'Refused, as --kernel')
    .option('--cmdline <words>', 'Refused, as --kernel')
    .option('--disk <path>', 'Refused: write to the disk of the VM instead', repeated)
    .action(async (name: string, options: VetuCreateOptions) => {
      const { runVetuCreate } = await import('../commands/vetu-create.ts');
      declaration.setExitCode(await runVetuCreate(declaration.terminal, name, options));
    });
}
