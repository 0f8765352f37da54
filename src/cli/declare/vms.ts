import { Option } from 'commander';
import type { CloneCommandOptions } from '../commands/clone.ts';
import type { CreateCommandOptions } from '../commands/create.ts';
import type { GetCommandOptions } from '../commands/get.ts';
import type { CommandGroup, Declaration } from './declaration.ts';
import { LAZY_MODES } from '../session/lazy-settings.ts';
import { withPeerOptions } from './peer.ts';
import {
  debugOption,
  formatOption,
  JSON_RESULT,
  quietOption,
  UINT16_MAX,
  wholeNumber,
  wordOption,
  limitRateOption,
  noMirrorOption,
} from './option-types.ts';

/** Commands that have to do with VM directories. */
export const VMS: CommandGroup = {
  title: 'Virtual machines:',
  commands: {
    create: declareCreate,
    clone: declareClone,
    get: declareGet,
    rename: declareRename,
    delete: declareDelete,
  },
};

function declareCreate({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('create')
    .description('Create a VM with an empty disk, or from a cloud image')
    .argument('<new-name>')
    .option('--linux', 'For a Linux guest')
    .option('--from-image <file|url>', 'Begin with a cloud image: qcow2, or raw; also packed by gzip, xz or zstd')
    .option('--digest <digest>', 'What the image must be: sha256 or sha512, as its publisher tells it')
    .option('--cloud-init <file>', 'User data for cloud-init in the guest, #cloud-config or a script')
    .option('--network-config <file>', 'Settings of the network for cloud-init')
    .addOption(new Option('--from-ipsw <path>', 'For a macOS guest (only Tart on a Mac can)'))
    .option('--disk-size <gb>', 'Size of the disk in GB (10^9 bytes)', wholeNumber(1, UINT16_MAX), 50)
    .addOption(
      wordOption('--disk-format <format>', 'Format of the disk; asif needs Tart on macOS 26', ['raw', 'asif']).default(
        'raw',
      ),
    )
    .addOption(
      wordOption('--arch <arch>', "Processor of the guest (default: the image's, or this machine's)", [
        'arm64',
        'amd64',
      ]),
    )
    .addOption(limitRateOption())
    .addOption(quietOption())
    .addOption(debugOption())
    .addHelpText(
      'after',
      `
A VM of that name that does not run is replaced, disk and all.

Examples:
  ${terminal.programName} create --linux --disk-size 20 debian
  ${terminal.programName} create --from-image debian-12.qcow2 --cloud-init user-data debian`,
    )
    .action(async (name: string, options: CreateCommandOptions) => {
      const { runCreate } = await import('../commands/create.ts');
      setExitCode(await runCreate(terminal, name, options));
    });
}

function declareClone({ program, terminal, setExitCode }: Declaration): void {
  withPeerOptions(
    program
      .command('clone')
      .description('Make a local VM from an image or from another VM')
      .argument('<source>', 'a local VM, or an image; an image that is not cached is pulled first')
      .argument('<new-name>')
      .option('--insecure', 'Use plain HTTP instead of HTTPS')
      .addOption(noMirrorOption())
      .option('--concurrency <n>', 'Chunks to fetch at once', wholeNumber(1, 64), 4)
      .option('--stacked', 'Keep the changes in an overlay (only Tart on macOS 27 can)')
      .addOption(
        wordOption('--lazy [when]', 'Begin before the disk is here, which arrives as the VM runs (Linux)', LAZY_MODES),
      )
      .addOption(new Option('--deduplicate', 'Accepted for compatibility').hideHelp())
      .option(
        '--prune-limit <gib>',
        'Most GiB of the cache to delete for what the VM will write',
        wholeNumber(0, 2 ** 22),
        100,
      )
      .addOption(limitRateOption()),
  )
    .addOption(formatOption(JSON_RESULT))
    .addOption(quietOption())
    .addOption(debugOption())
    .addHelpText(
      'after',
      `
A cached image is cloned without any network. A VM of the new name that does not run\nis replaced, disk and all.

With --lazy (auto, always or never), only the configuration is fetched of an image that is not cached. When the VM runs,
what the guest needs of its disk comes first, and the rest meanwhile. auto declines where little would be gained.

Example:
  ${terminal.programName} clone registry.example:8221/macos/base:15 ci`,
    )
    .action(async (source: string, name: string, options: CloneCommandOptions) => {
      const { runClone } = await import('../commands/clone.ts');
      setExitCode(await runClone(terminal, source, name, options));
    });
}

function declareGet({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('get')
    .description("Show a VM's configuration")
    .argument('<name>')
    .addOption(formatOption())
    .addHelpText('after', `\nExample:\n  ${terminal.programName} get --format json ci`)
    .action(async (name: string, options: GetCommandOptions) => {
      const { runGet } = await import('../commands/get.ts');
      setExitCode(await runGet(terminal, name, options));
    });
}

function declareRename({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('rename')
    .description('Rename a local VM')
    .argument('<name>')
    .argument('<new-name>', 'a name that no VM has yet')
    .addHelpText('after', `\nExample:\n  ${terminal.programName} rename ci ci-old`)
    .action(async (name: string, newName: string) => {
      const { runRename } = await import('../commands/rename.ts');
      setExitCode(await runRename(terminal, name, newName));
    });
}

function declareDelete({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('delete')
    .description('Delete local VMs and cached images')
    .argument('<names...>', 'deleting the last tag of an image deletes the image')
    .addHelpText('after', `\nExample:\n  ${terminal.programName} delete ci registry.example:8221/macos/base:15`)
    .action(async (names: string[]) => {
      const { runDelete } = await import('../commands/delete.ts');
      setExitCode(await runDelete(terminal, names));
    });
}
