import { InvalidArgumentError } from 'commander';
import { parseQuietHours, type QuietHours } from '../../prefetch/quiet-hours.ts';
import type { PrefetchFlags } from '../session/prefetch-settings.ts';
import type { Declaration } from './declaration.ts';
import { withPeerOptions } from './peer.ts';
import {
  byteCount,
  debugOption,
  duration,
  formatOption,
  JSON_RESULT,
  limitRateOption,
  noMirrorOption,
  quietOption,
  repeated,
  wholeNumber,
} from './option-types.ts';

export function declarePrefetch({ program, terminal, setExitCode }: Declaration): void {
  withPeerOptions(
    program
      .command('prefetch')
      .description('Keep images ready before they are asked for, and roll them out in one step')
      .argument('[remote-names...]', 'images; or rollback, or forget, and one image')
      .option('--list <file|url>', 'A list of images, a name a line; may be given several times', repeated)
      .option('--orchard <url>', 'The images of the VMs of an Orchard controller')
      .option('--orchard-worker <name>', 'Label this worker of it with the images that are ready')
      .option('--status', 'Show how the images are')
      .option('--watch', 'Go on until it is stopped')
      .option('--interval <time>', 'How often --watch looks, like 15m, 3h or 1d (default: 1h)', duration)
      .option('--jitter <time>', 'Up to so much later, by chance (default: a sixth of the interval)', duration)
      .option(
        '--quiet-hours <from-to>',
        'Fetch nothing meanwhile, like 08:00-18:30, by local time; may be given several times',
        quietHours,
      )
      .option('--disk-budget <bytes>', 'Most that the whole cache may have, like 200GB', byteCount)
      .option('--concurrency <n>', 'Maximum concurrent chunk downloads', wholeNumber(1, 64), 4)
      .option('--insecure', 'Use plain HTTP instead of HTTPS')
      .addOption(limitRateOption())
      .addOption(noMirrorOption()),
  )
    .addOption(formatOption(JSON_RESULT))
    .addOption(quietOption())
    .addOption(debugOption())
    .addHelpText(
      'after',
      `
Each image is pulled by its digest and verified; only then its tag moves, in one step. The image that it led to before
is kept, pinned, until the next one has come: rollback leads the tag back to it. What one entry does wrong stops no
other.

Exit codes: 0 when all images are ready (or wait for the end of quiet hours), 1 when an image, a list or an entry of one
failed. --watch ends with 0 on SIGTERM; on SIGHUP it reads the lists again.

Examples:
  ${terminal.programName} prefetch registry.example:8221/macos/base:15
  ${terminal.programName} prefetch --list images.txt --limit-rate 20M --disk-budget 300GB
  ${terminal.programName} prefetch --list https://site.example/images --watch --interval 3h \\
    --quiet-hours 08:00-18:00
  ${terminal.programName} prefetch --status --format json
  ${terminal.programName} prefetch rollback registry.example:8221/macos/base:15`,
    )
    .action(async (words: string[], options: PrefetchFlags) => {
      const { runPrefetch } = await import('../commands/fleet/prefetch.ts');
      setExitCode(await runPrefetch(terminal, words, options));
    });
}

function quietHours(text: string, before: readonly QuietHours[] | undefined): readonly QuietHours[] {
  const window = parseQuietHours(text);
  if (window === undefined) throw new InvalidArgumentError('It must be a part of a day like 08:00-18:30.');
  return [...(before ?? []), window];
}
