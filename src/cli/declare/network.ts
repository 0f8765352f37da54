import { Argument } from 'commander';
import type { NetworkAction, NetworkCommandOptions } from '../commands/running/network.ts';
import type { Declaration } from './declaration.ts';
import { formatOption } from './option-types.ts';

/** The network of VMs: our own, on Linux. */
export function declareNetwork({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('network')
    .description('Set up a network on which VMs are reached, on Linux')
    .addArgument(new Argument('<action>', 'what to do').choices(['setup', 'status', 'remove']))
    .option('--bridge <name>', 'Name of the bridge, for setup (default: tartlet0)')
    .option('--subnet <cidr>', 'Private network of the VMs, for setup (default: one that is free)')
    .option('--dry-run', 'Show what would be done, and change nothing')
    .addOption(formatOption('Output format the status'))
    .addHelpText(
      'after',
      `
Setup makes a bridge with a network of its own, on which VMs get addresses by DHCP, reach what this machine reaches, and
are reached at all of their ports. It starts with the system and becomes the default of run. Remove takes all of it
away.
Both are for root, once; everyone may ask for the status, which ends with 0 when the network runs.

Examples:
  sudo ${terminal.programName} network setup
  ${terminal.programName} network status
  ${terminal.programName} network remove --dry-run`,
    )
    .action(async (action: NetworkAction, options: NetworkCommandOptions) => {
      const { runNetwork } = await import('../commands/running/network.ts');
      setExitCode(await runNetwork(terminal, action, options));
    });
}
