import { type Command, CommanderError, Help, Option } from 'commander';
import type { Terminal } from './terminal.ts';

const COMPLETION = '--generate-completion-script';

/**
 * Puts what Tart's argument library has built in into our words (tart-cli §0.1): `--generate-completion-script zsh` is
 * `completion zsh`, for the user's own shell when none is named. `help pull` is `pull --help`.
 */
export function translateBuiltIn(argv: readonly string[], terminal: Terminal): readonly string[] {
  const [first, ...rest] = argv;
  if (first === COMPLETION) return ['completion', rest[0] ?? usersShell(terminal), ...rest.slice(1)];
  if (first?.startsWith(`${COMPLETION}=`)) return ['completion', first.slice(COMPLETION.length + 1), ...rest];
  if (first === 'help' && rest[0] === undefined) return ['--help'];
  // `help --help` is the help as well: commander shows it too, and then fails.
  if (first === 'help') return rest[0]?.startsWith('-') === true ? rest : [rest[0] ?? '', '--help'];
  return argv;
}

function usersShell(terminal: Terminal): string {
  return (terminal.environment['SHELL'] ?? '').split('/').pop() ?? '';
}

/** Lets a command and all below it answer `--help-hidden`: its help, with what `--help` leaves out. */
export function answerHelpHidden(command: Command): void {
  command.addOption(new Option('--help-hidden', 'show help, with hidden commands and options').hideHelp());
  command.on('option:help-hidden', () => {
    command.createHelp = () => Object.assign(new CompleteHelp(), command.configureHelp());
    command.outputHelp();
    throw new CommanderError(0, 'commander.helpDisplayed', '(outputHelp)');
  });
  for (const each of command.commands) answerHelpHidden(each);
}

/** Help that hides nothing but what only scripts call. */
class CompleteHelp extends Help {
  override visibleCommands(command: Command): Command[] {
    const shown = super.visibleCommands(command);
    const hidden = command.commands.filter((each) => !shown.includes(each) && !each.name().startsWith('_'));
    return [...shown, ...hidden];
  }

  override visibleOptions(command: Command): Option[] {
    const shown = super.visibleOptions(command);
    return [...shown, ...command.options.filter((each) => !shown.includes(each))];
  }
}
