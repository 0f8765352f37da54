import type { CatCommandOptions } from '../commands/fleet/disk-contents.ts';
import type { BootOrderCommandOptions } from '../commands/fleet/boot-order.ts';
import type { DfCommandOptions } from '../commands/fleet/df.ts';
import type { RemoteListCommandOptions } from '../commands/fleet/remote-list.ts';
import type { CommandGroup, Declaration } from './declaration.ts';
import { debugOption, formatOption, JSON_RESULT, noMirrorOption, quietOption, wholeNumber } from './option-types.ts';

/** What registries have, and what of it takes room here. */
export const USAGE: CommandGroup = {
  title: 'Images:',
  commands: {
    cat: declareCat,
    tags: declareTags,
    catalog: declareCatalog,
    df: declareDf,
    'boot-order': declareBootOrder,
  },
};

/** More than any registry lists. */
const MOST_NAMES = 1_000_000;

function declareCat({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('cat')
    .description('Write bytes of the disk of an image or a VM to stdout')
    .argument('<name>', 'a local VM, a cached image, or an image in its registry')
    .option('--offset <bytes>', 'Where to begin', wholeNumber(0, Number.MAX_SAFE_INTEGER), 0)
    .option('--length <bytes>', 'How many (default: to the end)', wholeNumber(0, Number.MAX_SAFE_INTEGER))
    .option('--remote', 'Ask the registry, even if the image is cached')
    .option('--insecure', 'Use plain HTTP instead of HTTPS')
    .addOption(noMirrorOption())
    .addOption(quietOption())
    .addOption(debugOption())
    .addHelpText(
      'after',
      `
An image that is not cached is not pulled: of one that was pushed with --pieces each MiB is fetched that is read, of
others whole layers. What comes out was verified before.

Examples:
  ${terminal.programName} cat --length 512 registry.example:8221/linux/debian:12 | xxd
  ${terminal.programName} inspect --disk registry.example:8221/linux/debian:12
  ${terminal.programName} cat --offset 1048576 --length 133169152 ci > efi.img`,
    )
    .action(async (name: string, options: CatCommandOptions) => {
      const { runCat } = await import('../commands/fleet/disk-contents.ts');
      setExitCode(await runCat(terminal, name, options));
    });
}

function declareTags({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('tags')
    .description('List the tags of a repository in its registry')
    .argument('<remote-name>', 'host[:port]/repository; a tag behind it does not matter')
    .option('--limit <n>', 'So many are enough', wholeNumber(1, MOST_NAMES))
    .option('--insecure', 'Use plain HTTP instead of HTTPS')
    .addOption(formatOption(JSON_RESULT))
    .addOption(quietOption())
    .addOption(debugOption())
    .addHelpText(
      'after',
      `
In the order of the registry, each once, one a line.

Examples:
  ${terminal.programName} tags ghcr.io/cirruslabs/macos-sequoia-base
  ${terminal.programName} tags --limit 20 --format json registry.example:8221/macos/base`,
    )
    .action(async (name: string, options: RemoteListCommandOptions) => {
      const { runTags } = await import('../commands/fleet/remote-list.ts');
      setExitCode(await runTags(terminal, name, options));
    });
}

function declareCatalog({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('catalog')
    .description('List the repositories of a registry')
    .argument('<registry>', 'host[:port]')
    .option('--limit <n>', 'So many are enough', wholeNumber(1, MOST_NAMES))
    .option('--insecure', 'Use plain HTTP instead of HTTPS')
    .addOption(formatOption(JSON_RESULT))
    .addOption(quietOption())
    .addOption(debugOption())
    .addHelpText(
      'after',
      `
Many registries list none, ghcr.io and Docker Hub among them; others list what the login may see.

Examples:
  ${terminal.programName} catalog registry.example:8221
  ${terminal.programName} catalog --format json registry.example:8221 | jq -r '.repositories[]'`,
    )
    .action(async (registry: string, options: RemoteListCommandOptions) => {
      const { runCatalog } = await import('../commands/fleet/remote-list.ts');
      setExitCode(await runCatalog(terminal, registry, options));
    });
}

function declareDf({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('df')
    .description('Show what images and VMs occupy, alone and together')
    .addOption(formatOption(JSON_RESULT))
    .addHelpText(
      'after',
      `
Unique is what nothing else has, Shared what clones and other images have too, Reclaimable what deleting it alone
would make free now: nothing of what is pinned or runs. "In all" counts each block of the disk once. Where the file
system does not tell what files share (APFS), that is unknown.

Examples:
  ${terminal.programName} df
  ${terminal.programName} df --format json | jq '.images[] | {name, reclaimableBytes}'`,
    )
    .action(async (options: DfCommandOptions) => {
      const { runDf } = await import('../commands/fleet/df.ts');
      setExitCode(await runDf(terminal, options));
    });
}

function declareBootOrder({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('boot-order')
    .description('Show what of its disk guests of an image touch first, or publish it')
    .argument('<remote-name>', 'host[:port]/repository[:tag], or …@sha256:…')
    .option('--publish', 'Store what was recorded on this machine beside the image in its registry')
    .option('--insecure', 'Use plain HTTP instead of HTTPS')
    .addOption(noMirrorOption())
    .addOption(formatOption(JSON_RESULT))
    .addOption(quietOption())
    .addOption(debugOption())
    .addHelpText(
      'after',
      `
A VM that begins before its disk is here records what its guest touches, until the disk has arrived. The fill of later
ones follows what is published, on whatever machine. It is a hint: a wrong one costs time, and nothing else.

Examples:
  ${terminal.programName} boot-order registry.example:8221/linux/debian:12
  ${terminal.programName} boot-order --publish registry.example:8221/linux/debian:12
  ${terminal.programName} boot-order --format json registry.example:8221/linux/debian:12`,
    )
    .action(async (name: string, options: BootOrderCommandOptions) => {
      const { runBootOrder } = await import('../commands/fleet/boot-order.ts');
      setExitCode(await runBootOrder(terminal, name, options));
    });
}
