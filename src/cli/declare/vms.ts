import { type Command, Option } from 'commander';
import type { Terminal } from '../terminal.ts';
import { oneOf, UINT16_MAX, wholeNumber } from './option-types.ts';

/** `create`, `clone`, `get`, `rename`, `delete`: what has to do with VM folders. */
export function declareVms(program: Command, terminal: Terminal, setExitCode: (code: number) => void): void {
  program.commandsGroup('Virtual machines:');
  program
    .command('create')
    .description('create a VM with an empty disk')
    .argument('<name>')
    .option('--linux', 'for a Linux guest')
    .addOption(new Option('--from-ipsw <path>', 'for a macOS guest (only Tart on a Mac can)'))
    .option('--disk-size <gb>', 'size of the disk in GB (10^9 bytes)', wholeNumber(1, UINT16_MAX), 50)
    .option('--disk-format <format>', 'raw, or asif (only Tart on macOS 26 can)', oneOf('raw', 'asif'), 'raw' as const)
    .option('--arch <arch>', 'processor of the guest: arm64 or amd64', oneOf('arm64', 'amd64'), 'arm64' as const)
    .addHelpText('after', `\nExample:\n  ${terminal.programName} create --linux --disk-size 20 debian`)
    .action(async (name, options) => {
      const { runCreate } = await import('../commands/create.ts');
      setExitCode(await runCreate(terminal, name, options));
    });

  program
    .command('clone')
    .description('make a local VM from an image or from another VM')
    .argument('<source>', 'a local VM, or an image; an image that is not cached is pulled first')
    .argument('<new-name>')
    .option('--insecure', 'speak plain HTTP to the registry')
    .option('--concurrency <n>', 'chunks to fetch at once', wholeNumber(1, 64), 4)
    .addOption(new Option('--deduplicate', 'accepted for compatibility').hideHelp())
    .addOption(new Option('--prune-limit <gb>', 'accepted for compatibility').hideHelp())
    .addHelpText(
      'after',
      `
A cached image is cloned without any network. A stopped VM of the new name is replaced.

Example:
  ${terminal.programName} clone registry.example:8221/macos/base:15 ci`,
    )
    .action(async (source, name, options) => {
      const { runClone } = await import('../commands/clone.ts');
      setExitCode(await runClone(terminal, source, name, options));
    });

  program
    .command('get')
    .description("show a VM's configuration")
    .argument('<name>')
    .addOption(
      new Option('--format <format>', 'how to print').choices(['text', 'json'] as const).default('text' as const),
    )
    .addHelpText('after', `\nExample:\n  ${terminal.programName} get --format json ci`)
    .action(async (name, options) => {
      const { runGet } = await import('../commands/get.ts');
      setExitCode(await runGet(terminal, name, options));
    });

  program
    .command('rename')
    .description('rename a local VM')
    .argument('<name>')
    .argument('<new-name>')
    .action(async (name, newName) => {
      const { runRename } = await import('../commands/rename.ts');
      setExitCode(await runRename(terminal, name, newName));
    });

  program
    .command('delete')
    .description('delete local VMs and cached images')
    .argument('<names...>', 'deleting the last tag of an image deletes the image')
    .addHelpText('after', `\nExample:\n  ${terminal.programName} delete ci registry.example:8221/macos/base:15`)
    .action(async (names) => {
      const { runDelete } = await import('../commands/delete.ts');
      setExitCode(await runDelete(terminal, names));
    });
}
