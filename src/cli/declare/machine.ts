import { InvalidArgumentError, Option } from 'commander';
import { type Display, parseDisplay } from '../../vm/display.ts';
import type { PruneCommandOptions } from '../commands/prune.ts';
import type { SetCommandOptions } from '../commands/set.ts';
import type { CommandGroup, Declaration } from './declaration.ts';
import { UINT16_MAX, wholeNumber } from './option-types.ts';

/** More MiB than this are not a whole number of bytes for us any more: 8 PiB. */
const MAX_MEMORY_MIB = 2 ** 33 - 1;
/** Days and GiB have no other limit than that they can be counted. */
const MAX_COUNT = 2 ** 22;

/** Commands that change VMs, and the one that makes room. */
export const MACHINE: CommandGroup = {
  title: 'Virtual machines:',
  commands: { set: declareSet, prune: declarePrune },
};

function declareSet({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('set')
    .description("Change a VM's configuration and disk")
    .argument('<name>')
    .option('--cpu <n>', 'Number of processors', wholeNumber(0, UINT16_MAX))
    .option('--memory <mib>', 'Memory in MiB (2^20 bytes)', wholeNumber(0, MAX_MEMORY_MIB))
    .option('--display <size>', 'Screen of the guest, e.g. 1920x1080, 1920x1080px or 960x540pt', displaySize)
    .option('--display-refit', 'Let the screen of the guest follow the window')
    .option('--no-display-refit', 'Keep the screen of the guest as it is')
    .option('--random-mac', 'Give it a new MAC address')
    .option('--random-serial', 'Give a macOS guest a new serial number')
    .option('--disk <path>', 'Replace the content of the disk by that of this image')
    .option('--disk-size <gb>', 'Grow the disk to so many GB (10^9 bytes)', wholeNumber(1, UINT16_MAX))
    .addHelpText(
      'after',
      `
What is not named stays as it is. A running VM takes the changes at its next start; its disk cannot be changed.

Examples:
  ${terminal.programName} set --cpu 8 --memory 16384 ci
  ${terminal.programName} set ci --disk-size 100`,
    )
    .action(async (name: string, options: SetCommandOptions) => {
      const { runSet } = await import('../commands/set.ts');
      setExitCode(await runSet(terminal, name, options));
    });
}

function declarePrune({ program, terminal, setExitCode }: Declaration): void {
  const gib = wholeNumber(0, MAX_COUNT);
  program
    .command('prune')
    .description('Delete least recently used images or VMs')
    .addOption(
      new Option('--entries <what>', 'Cached images and restore images, or VMs that do not run')
        .choices(['caches', 'vms'] as const)
        .default('caches' as const),
    )
    .option('--older-than <days>', 'What was not used for so many days', wholeNumber(0, MAX_COUNT))
    .option('--space-budget <gib>', 'What does not fit into so many GiB, the oldest first', gib)
    .addOption(new Option('--cache-budget <gib>', 'The old name of --space-budget').argParser(gib).hideHelp())
    .option('--gc', 'First remove dangling tags, and images that no tag leads to')
    .option('--free-space <gib>', 'The oldest of the cache, until so many GiB are free on its disk', gib)
    .option('--dry-run', 'Only show what would be deleted, why, and what that would free')
    .addOption(new Option('--format <format>', 'Output format what is deleted').choices(['text', 'json'] as const))
    .addHelpText(
      'after',
      `
Tags go with their image. What is pinned stays, what is in use is skipped. Works on a disk that is full.

Examples:
  ${terminal.programName} prune --older-than 7 --dry-run
  ${terminal.programName} prune --space-budget 100
  ${terminal.programName} prune --free-space 50
  ${terminal.programName} prune --entries vms --older-than 30`,
    )
    .action(async (options: PruneCommandOptions) => {
      const { runPrune } = await import('../commands/prune.ts');
      setExitCode(await runPrune(terminal, options));
    });
}

function displaySize(text: string): Display {
  const display = parseDisplay(text);
  if (display === undefined)
    throw new InvalidArgumentError('It must be like 1920x1080, with pt or px behind it if wanted.');
  return display;
}
