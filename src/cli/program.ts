import { Command, CommanderError, Help } from 'commander';
import { answerHelpHidden } from './terminal/built-in.ts';
import { ACCESS } from './declare/access.ts';
import { ACCOUNTS } from './declare/accounts.ts';
import { ARCHIVES } from './declare/archives.ts';
import { DOCTOR } from './declare/doctor.ts';
import { IMAGES } from './declare/images.ts';
import { GUEST } from './declare/guest.ts';
import { MACHINE } from './declare/machine.ts';
import { SERVICES } from './declare/services.ts';
import { USAGE } from './declare/usage.ts';
import { VETU } from './declare/vetu.ts';
import { VMS } from './declare/vms.ts';
import type { CommandGroup } from './declare/declaration.ts';
import { type Dialect, dialectOf } from './terminal/dialect.ts';
import { type Printable, printableByLine } from './terminal/printable.ts';
import type { Terminal } from './terminal/terminal.ts';
import { VERSION } from './terminal/version.ts';

/** In the order of the help. */
const GROUPS: Readonly<Record<Dialect, readonly CommandGroup[]>> = {
  tart: [IMAGES, USAGE, DOCTOR, VMS, MACHINE, GUEST, ACCESS, ARCHIVES, ACCOUNTS, SERVICES],
  vetu: VETU,
};
const EXAMPLES: Readonly<Record<Dialect, readonly string[]>> = {
  tart: [
    'demo       see everything work, in 20 seconds',
    'pull registry.example:8221/macos/base:15',
    'clone registry.example:8221/macos/base:15 ci',
    'list       the names you typed are the names you see',
  ],
  vetu: ['clone registry.example:8221/linux/debian:12 ci', 'run ci', 'ip --wait 60 ci', 'list --format json'],
};
const ABOUT: Readonly<Record<Dialect, string>> = {
  tart:
    'Pull, push, list, clone, run and serve Tart VM images, from and to any OCI registry on any port.\n' +
    'Shares its home (~/.tart, or TART_HOME) with Tart.',
  vetu:
    'Tartlet with the commands of Vetu: pulls, clones and runs Tart VM images of Linux.\n' +
    'Its home is ~/.tart, or TART_HOME; VETU_HOME is not read. Called as tartlet, it has more commands.',
};
/** What the completion scripts call: it looks at the command that it completes. */
const COMPLETE = '__complete';

/**
 * The command tree: names, options and help, and nothing heavy. What a command does is imported when it runs, so that
 * help and completion start at once.
 *
 * @param only declares these commands alone: the others cost a tenth of the time of a short one. Default: all of them.
 */
export function buildProgram(
  terminal: Terminal,
  setExitCode: (code: number) => void,
  only?: readonly string[],
): Command {
  const dialect = dialectOf(terminal);
  const program = new Command(terminal.programName)
    .description(ABOUT[dialect])
    .version(VERSION, '--version', 'Show the version; with --verbose also what it runs on')
    .helpOption('-h, --help', 'Show help')
    .showSuggestionAfterError(true)
    .enablePositionalOptions()
    .exitOverride()
    // Names alone leave the meanings of commands room on 80 columns; the usage of each is in its own help.
    .configureHelp({ subcommandTerm: (command) => command.name(), minWidthToWrap: 20 })
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(printableByLine(wrapProse(text, helpWidth(terminal)))),
      writeErr: (text) => terminal.stderr.write(printableByLine(text)),
      getOutHelpWidth: () => helpWidth(terminal),
      getErrHelpWidth: () => helpWidth(terminal),
      // Usage errors are rendered in one place, with the usage of the command they belong to.
      outputError: () => undefined,
    });
  for (const { title, commands } of GROUPS[dialect]) {
    program.commandsGroup(title);
    for (const [name, declare] of Object.entries(commands)) {
      if (only === undefined || only.includes(name)) declare({ program, terminal, setExitCode });
    }
  }
  program.addHelpCommand(
    program
      .createCommand('help')
      .argument('[command]')
      .description('Show help for a command')
      .helpOption(false)
      .helpGroup(SERVICES.title),
  );
  program.addHelpText(
    'after',
    `
Examples:
${EXAMPLES[dialect].map((words) => `  ${terminal.programName} ${words}`).join('\n')}

Variables: TART_HOME, TART_REGISTRY_USERNAME, TART_REGISTRY_PASSWORD, TART_REGISTRY_HOSTNAME, DOCKER_CONFIG, NO_COLOR`,
  );
  for (const command of program.commands) command.helpOption('-h, --help', 'Show help');
  answerHelpHidden(program);
  return program;
}

/** The commands that a command line needs; undefined when the whole tree must answer. */
export function commandsNamed(argv: readonly string[], dialect: Dialect): readonly string[] | undefined {
  const [first = '', dashes, completed = '', ...more] = argv;
  if (!isCommand(first, dialect)) return undefined;
  if (first !== COMPLETE) return [first];
  // While its name is still being typed, all of them are offered.
  return dashes === '--' && more.length > 0 && isCommand(completed, dialect) ? [first, completed] : undefined;
}

function isCommand(name: string, dialect: Dialect): boolean {
  return GROUPS[dialect].some(({ commands }) => Object.hasOwn(commands, name));
}

function helpWidth(terminal: Terminal): number {
  const columns = Number(terminal.environment['COLUMNS'] ?? terminal.stdout.columns ?? 0);
  return columns >= 40 ? Math.min(columns, 120) : 80;
}

/**
 * Breaks what commander does not: prose behind the options, by its paragraphs. Examples and lists are indented, and
 * stay as they are, for copying.
 */
function wrapProse(text: string, width: number): string {
  const help = new Help();
  const paragraphs = text.replaceAll(/(?<=\n\n|^\n?)[^\s][^\n]*(?:\n[^\s][^\n]*)+/g, (each) =>
    each.replaceAll('\n', ' '),
  );
  const wrapped = (line: string): string => (line.startsWith(' ') ? line : help.boxWrap(line, width));
  return paragraphs.split('\n').map(wrapped).join('\n');
}

/**
 * How the command is used that a usage error belongs to, and where more is said; two lines, as in Tart (tart-cli §0.3).
 */
export function usageOf(program: Command, argv: readonly string[]): Printable {
  const name = argv.find((word) => !word.startsWith('-'));
  const command = program.commands.find((each) => each.name() === name);
  const words = command === undefined ? program.name() : `${program.name()} ${command.name()}`;
  return printableByLine(
    `Usage: ${new Help().commandUsage(command ?? program)}\n  See '${words} --help' for more information.\n`,
  );
}

export { CommanderError };
