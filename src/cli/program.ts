import { Command, CommanderError, Help } from 'commander';
import { answerHelpHidden } from './built-in.ts';
import { declareAccounts } from './declare/accounts.ts';
import { declareArchives } from './declare/archives.ts';
import { declareDoctor } from './declare/doctor.ts';
import { declareImages } from './declare/images.ts';
import { declareMachine } from './declare/machine.ts';
import { declareServices } from './declare/services.ts';
import { declareVms } from './declare/vms.ts';
import type { Terminal } from './terminal.ts';
import { VERSION } from './version.ts';

/**
 * The whole command tree: names, options and help, and nothing heavy. What a command does is imported when it runs,
 * so that `--version`, `--help` and completion start at once.
 */
export function buildProgram(terminal: Terminal, setExitCode: (code: number) => void): Command {
  const program = new Command(terminal.programName)
    .description(
      'Pull, push, list, clone and serve Tart VM images, from and to any OCI registry on any port.\n' +
        'Shares its home (~/.tart, or TART_HOME) with Tart.',
    )
    .version(VERSION, '--version', 'show the version; with --verbose also what it runs on')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help for a command')
    .showSuggestionAfterError(true)
    .enablePositionalOptions()
    .exitOverride()
    // Names alone leave the meanings of commands room on 80 columns; the usage of each is in its own help.
    .configureHelp({ subcommandTerm: (command) => command.name(), minWidthToWrap: 20 })
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(wrapProse(text, helpWidth(terminal))),
      writeErr: (text) => terminal.stderr.write(text),
      getOutHelpWidth: () => helpWidth(terminal),
      getErrHelpWidth: () => helpWidth(terminal),
      // Usage errors are rendered in one place, with the usage of the command they belong to.
      outputError: () => undefined,
    });
  const declaration = { program, terminal, setExitCode };
  declareImages(declaration);
  declareDoctor(declaration);
  declareVms(declaration);
  declareMachine(declaration);
  declareArchives(declaration);
  declareAccounts(declaration);
  declareServices(declaration);
  program.addHelpText(
    'after',
    `
Examples:
  ${terminal.programName} demo                                       see everything work, in 20 seconds
  ${terminal.programName} pull registry.example:8221/macos/base:15   from a registry on a port
  ${terminal.programName} clone registry.example:8221/macos/base:15 ci
  ${terminal.programName} list                                       the names you typed are the names you see

Variables: TART_HOME, TART_REGISTRY_USERNAME, TART_REGISTRY_PASSWORD, TART_REGISTRY_HOSTNAME, DOCKER_CONFIG, NO_COLOR`,
  );
  for (const command of program.commands) inheritSettings(program, command);
  answerHelpHidden(program);
  return program;
}

/** Subcommands made before a setting do not have it. */
function inheritSettings(program: Command, command: Command): void {
  command.copyInheritedSettings(program);
  command.helpOption('-h, --help', 'show help');
}

function helpWidth(terminal: Terminal): number {
  const columns = Number(terminal.environment['COLUMNS'] ?? terminal.stdout.columns ?? 0);
  return columns >= 40 ? Math.min(columns, 120) : 80;
}

/** Breaks the lines that commander does not: prose behind the options. Examples are indented, and stay in one piece for copying. */
function wrapProse(text: string, width: number): string {
  const help = new Help();
  const wrapped = (line: string): string => (line.startsWith(' ') ? line : help.boxWrap(line, width));
  return text.split('\n').map(wrapped).join('\n');
}

/** How the command is used that a usage error belongs to, and where more is said; two lines, as in Tart (tart-cli §0.3). */
export function usageOf(program: Command, argv: readonly string[]): string {
  const name = argv.find((word) => !word.startsWith('-'));
  const command = program.commands.find((each) => each.name() === name);
  const words = command === undefined ? program.name() : `${program.name()} ${command.name()}`;
  return `Usage: ${new Help().commandUsage(command ?? program)}\n  See '${words} --help' for more information.\n`;
}

export { CommanderError };
