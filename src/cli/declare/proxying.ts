import type { Command } from 'commander';
import { byteCount, duration, repeated } from './option-types.ts';

/** How `serve` is a site cache of other registries. */
export function declareProxying(command: Command): Command {
  return command
    .option(
      '--proxy <registry>',
      'Be a cache of this registry, as /v2/<registry>/…; may be given several times; * is every public one',
      repeated,
    )
    .option('--proxy-for <registry>', 'Be the mirror of this one registry, as /v2/…')
    .option(
      '--proxy-ttl <time>',
      'How long a tag is believed before its registry is asked again (default: 1m)',
      duration,
    )
    .option(
      '--proxy-max-stale <time>',
      'How old an answer may be when its registry does not answer (default: 1d)',
      duration,
    )
    .option('--proxy-budget <bytes>', 'Most that blobs may take of the disk (default: 200GiB)', byteCount)
    .option('--proxy-logins', 'Ask registries with the logins stored here, for users of --htpasswd');
}
