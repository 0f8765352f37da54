import { type Command, Option } from 'commander';

/** How `serve` can be looked at: its page, its log, its metrics. */
export function declareObserving(command: Command): Command {
  return command
    .option('--no-page', 'Show no web page at the address of the registry')
    .addOption(
      new Option('--log-format <format>', 'How the log on stderr is written; json is one object for each line')
        .choices(['text', 'json'] as const)
        .default('text'),
    )
    .addOption(
      new Option('--metrics <readers>', 'Who may read /metrics: this machine and users (local), users, all, none')
        .choices(['local', 'users', 'all', 'none'] as const)
        .default('local'),
    );
}
