import { Option } from 'commander';
import type { CopyCommandOptions } from '../commands/copy.ts';
import type { InspectCommandOptions } from '../commands/inspect.ts';
import type { ListCommandOptions } from '../commands/list.ts';
import type { PullCommandOptions } from '../commands/pull.ts';
import type { PushCommandOptions } from '../commands/push.ts';
import type { CommandGroup, Declaration } from './declaration.ts';
import { withPeerOptions } from './peer.ts';
import { declarePrefetch } from './prefetch.ts';
import {
  debugOption,
  formatOption,
  JSON_RESULT,
  limitRateOption,
  noMirrorOption,
  quietOption,
  repeated,
  wholeNumber,
} from './option-types.ts';

const INSECURE = 'Use plain HTTP instead of HTTPS';
const MAX_CONCURRENCY = 64;
/** Mebibytes. Larger chunks are worth nothing, and one that breaks is sent again from its start. */
const MAX_LAYER_SIZE = 16_384;

/** Commands that have to do with names of images. */
export const IMAGES: CommandGroup = {
  title: 'Images:',
  commands: {
    pull: declarePull,
    push: declarePush,
    copy: declareCopy,
    list: declareList,
    inspect: declareInspect,
    fqn: declareFqn,
    pin: declarePin,
    unpin: declareUnpin,
    prefetch: declarePrefetch,
  },
};

function declarePull({ program, terminal, setExitCode }: Declaration): void {
  withPeerOptions(
    program
      .command('pull')
      .description('Pull an image from a registry into the cache')
      .argument('<remote-name>', 'host[:port]/repository[:tag], or …@sha256:…')
      .option('--insecure', INSECURE)
      .addOption(noMirrorOption())
      .option(
        '--concurrency <n>',
        'Maximum concurrent chunk downloads (adaptive from 4 upwards)',
        wholeNumber(1, MAX_CONCURRENCY),
        4,
      )
      .option('--dry-run', 'Say what would be fetched, reused and needed, and do nothing')
      .addOption(limitRateOption()),
  )
    .addOption(formatOption(JSON_RESULT))
    .addOption(quietOption())
    .addOption(debugOption())
    .addOption(new Option('--deduplicate', 'Accepted for compatibility').hideHelp())
    .addHelpText(
      'after',
      `
A tag that is cached and has not moved costs one request. An interrupted pull continues where it was. What is on this
machine already, in any image or VM, is copied and not fetched.

Examples:
  ${terminal.programName} pull ghcr.io/cirruslabs/macos-sequoia-base:latest
  ${terminal.programName} pull registry.example:8221/macos/base:15
  ${terminal.programName} pull --dry-run --format json registry.example:8221/macos/base:16
  ${terminal.programName} pull --insecure 10.0.0.5:5000/base`,
    )
    .action(async (name: string, options: PullCommandOptions) => {
      const { runPull } = await import('../commands/pull.ts');
      setExitCode(await runPull(terminal, name, options));
    });
}

function declarePush({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('push')
    .description('Upload a VM to a registry under one or more names')
    .argument('<source>', 'a local VM, or a cached image to send on exactly as it is')
    .argument('<remote-names...>', 'where to; names of one repository are uploaded once')
    .option('--insecure', INSECURE)
    .option(
      '--concurrency <n>',
      'Maximum concurrent chunk uploads (adaptive from 4 upwards)',
      wholeNumber(0, MAX_CONCURRENCY),
      4,
    )
    .addOption(chunkSizeOption())
    .option('--label <key=value>', 'A label for the OCI config; may be given several times', repeated)
    .option('--populate-cache', 'Have the image in the local cache afterwards, under the same names')
    .option(
      '--layer-size <mib>',
      'Mebibytes of disk per layer (default: as the image that the VM was cloned from, else 512, as Tart)',
      wholeNumber(1, MAX_LAYER_SIZE),
    )
    .option('--pieces', 'Let each MiB of the disk be read alone from the registry; Tart pulls it as any other image')
    .option('--reproducible', 'Leave the upload time out: the same VM always gets the same digest')
    .option('--digestfile <file>', 'Write the digest of the image to this file, when all went well')
    .addOption(limitRateOption())
    .addOption(formatOption(JSON_RESULT))
    .addOption(quietOption())
    .addOption(debugOption())
    .addHelpText(
      'after',
      `
Blobs that the registry has are not sent again. The tags move last. A cached image keeps its digest; labels and
the layer size do not apply to it, and what the cache lacks of it streams from the registry it came from.

Examples:
  ${terminal.programName} push ci registry.example:8221/macos/ci:15.2 \\
    registry.example:8221/macos/ci:latest
  ${terminal.programName} push --chunk-size 4 ci ghcr.io/acme/ci:latest
  ${terminal.programName} push ghcr.io/cirruslabs/debian:latest \\
    registry.example:8221/linux/debian:12`,
    )
    .action(async (source: string, names: string[], options: PushCommandOptions) => {
      const { runPush } = await import('../commands/push.ts');
      setExitCode(await runPush(terminal, source, names, options));
    });
}

function chunkSizeOption(): Option {
  const what = 'Upload in parts of so many megabytes; 0 sends each blob whole';
  return new Option('--chunk-size <mb>', what).argParser(wholeNumber(0, 100_000)).default(0);
}

function declareCopy({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('copy')
    .description('Copy an image from registry to registry, byte for byte')
    .argument('<source>', 'host[:port]/repository[:tag], or …@sha256:…')
    .argument('<destination>', 'where to; without a tag it is latest')
    .option('--insecure', 'Use plain HTTP for both registries')
    .option('--insecure-source', 'Use plain HTTP for the source registry')
    .option('--insecure-destination', 'Use plain HTTP for the destination registry')
    .addOption(noMirrorOption())
    .option('--concurrency <n>', 'Maximum concurrent blob copies', wholeNumber(0, MAX_CONCURRENCY), 4)
    .addOption(chunkSizeOption())
    .option('--digestfile <file>', 'Write the digest of the image to this file, when all went well')
    .addOption(limitRateOption())
    .addOption(formatOption(JSON_RESULT))
    .addOption(quietOption())
    .addOption(debugOption())
    .addHelpText(
      'after',
      `
Any OCI image can be copied, an index with everything below it. Within a registry the blobs are mounted; between two
they stream through, verified, without touching the disk. The digest is the same on both sides; the tag moves last.

Examples:
  ${terminal.programName} copy ghcr.io/cirruslabs/macos-sequoia-base:latest \\
    registry.example:8221/macos/base:15
  ${terminal.programName} copy registry.example:8221/macos/ci:latest \\
    registry.example:8221/macos/ci:stable`,
    )
    .action(async (source: string, destination: string, options: CopyCommandOptions) => {
      const { runCopy } = await import('../commands/copy.ts');
      setExitCode(await runCopy(terminal, source, destination, options));
    });
}

function declareList({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('list')
    .description('Show local VMs and cached images')
    .addOption(new Option('--source <source>', 'Only one kind').choices(['local', 'oci'] as const))
    .addOption(formatOption())
    .option('-q, --quiet', 'Print only names')
    .addHelpText(
      'after',
      `\nExamples:\n  ${terminal.programName} list\n  ${terminal.programName} list --source oci --format json`,
    )
    .action(async (options: ListCommandOptions) => {
      const { runList } = await import('../commands/list.ts');
      setExitCode(await runList(terminal, options));
    });
}

function declareInspect({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('inspect')
    .description('Show everything known about an image or a VM: digest, origin, layers, sizes')
    .argument('<name>', 'a local VM, a cached image, or with --remote an image in its registry')
    .option('--remote', 'Ask the registry, even if the image is cached')
    .option('--disk', 'Show how the disk is divided; of an image in a registry only that is fetched')
    .option('--insecure', INSECURE)
    .addOption(noMirrorOption())
    .addOption(formatOption())
    .addOption(debugOption())
    .addHelpText(
      'after',
      `\nExamples:\n  ${terminal.programName} inspect registry.example:8221/macos/base:15\n  ` +
        `${terminal.programName} inspect --remote --format json ghcr.io/acme/ci:latest`,
    )
    .action(async (name: string, options: InspectCommandOptions) => {
      const { runInspect } = await import('../commands/inspect.ts');
      setExitCode(await runInspect(terminal, name, options));
    });
}

function declareFqn({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('fqn')
    .description('Print the name with the digest that a cached tag leads to')
    .argument('<name>')
    .addHelpText('after', `\nExample:\n  ${terminal.programName} fqn registry.example:8221/macos/base:15`)
    .action(async (name: string) => {
      const { runFqn } = await import('../commands/fqn.ts');
      setExitCode(await runFqn(terminal, name));
    });
}

function declarePin({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('pin')
    .description('Keep cached images, whatever is pruned or collected')
    .argument('<remote-names...>', 'cached images; a tag stands for the image it leads to now')
    .addHelpText(
      'after',
      `
A pinned image stays when its last tag moves. It can be deleted by its digest only after unpin.

Example:
  ${terminal.programName} pin registry.example:8221/macos/base:15`,
    )
    .action(async (names: string[]) => {
      const { runPin } = await import('../commands/pin.ts');
      setExitCode(await runPin(terminal, names, true));
    });
}

function declareUnpin({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('unpin')
    .description('Let pinned images be pruned again')
    .argument('<remote-names...>', 'cached images')
    .addHelpText('after', `\nExample:\n  ${terminal.programName} unpin registry.example:8221/macos/base:15`)
    .action(async (names: string[]) => {
      const { runPin } = await import('../commands/pin.ts');
      setExitCode(await runPin(terminal, names, false));
    });
}
