import type { Command } from 'commander';
import { isTartletError, TartletError } from '../errors.ts';
import { buildProgram, CommanderError, commandsNamed, usageOf } from './program.ts';
import { type Dialect, dialectOf, exitCodeIn } from './terminal/dialect.ts';
import { writeError } from './terminal/message-stream.ts';
import { renderError } from './render/error.ts';
import { exitCodeOf } from './render/exit-code.ts';
import { joined, printableByLine } from './terminal/printable.ts';
import type { CommandSpan } from './telemetry/command-span.ts';
import { withLazyValue } from './session/lazy-settings.ts';
import type { Terminal } from './terminal/terminal.ts';

/** Runs one command line and gives its exit code. Never throws: whatever happens is said on stderr. */
export async function run(terminal: Terminal, argv: readonly string[]): Promise<number> {
  const dialect = dialectOf(terminal);
  return exitCodeIn(dialect, await runCommand(terminal, argv, dialect));
}

async function runCommand(terminal: Terminal, argv: readonly string[], dialect: Dialect): Promise<number> {
  let exitCode = 0;
  const setExitCode = (code: number): void => {
    exitCode = code;
  };
  const program = buildProgram(terminal, setExitCode, commandsNamed(argv, dialect));
  const span = await startSpan(terminal, argv, program);
  try {
    if (argv.length === 0) {
      terminal.stdout.write(printableByLine(program.helpInformation()));
      return 0;
    }
    // An unknown command has no help: commander would show that of the program, as if all were well.
    await program.parseAsync(isUnknownCommand(program, argv) ? argv.slice(0, 1) : withLazyValue(argv), {
      from: 'user',
    });
    await span?.end(undefined);
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const failure = error instanceof CommanderError ? usageError(error) : whyItEnded(terminal.signal, error);
    const usage = isTartletError(failure, 'USAGE') ? [usageOf(program, argv)] : [];
    writeError(
      terminal.stderr,
      joined([renderError(failure, terminal.stderr, terminal.environment, terminal.programName), ...usage]),
    );
    // A command line that was not understood is no run of a command.
    if (!(error instanceof CommanderError)) await span?.end(failure);
    // SIGTERM and SIGHUP end with their own codes; SIGINT is the table's.
    if (isTartletError(failure, 'INTERRUPTED')) return failure.facts.status ?? exitCodeOf(failure);
    return exitCodeOf(failure);
  }
}

function isUnknownCommand(program: Command, [first = '']: readonly string[]): boolean {
  return !first.startsWith('-') && !program.commands.some((command) => command.name() === first);
}

/** What commander says about a command line, as an error of ours. A suggestion of it is the next step. */
function usageError({ message }: CommanderError): TartletError {
  const [what = '', suggestion] = message.replace(/^error: /, '').split('\n');
  const words = suggestion?.replace(/^\(Did you mean (.*)\?\)$/, 'did you mean $1?');
  return new TartletError('USAGE', what, { next: words === undefined ? undefined : { kind: 'in-words', words } });
}

/** Telemetry is loaded only where the environment asks for traces (tart-cli §2). */
async function startSpan(
  terminal: Terminal,
  argv: readonly string[],
  program: Command,
): Promise<CommandSpan | undefined> {
  const traceParent = terminal.environment['TRACEPARENT'] ?? '';
  if (traceParent === '') return undefined;
  const telemetry = await import('./telemetry/command-span.ts');
  const span = new telemetry.CommandSpan(terminal, argv, traceParent);
  program.hook('preAction', (_program, command) => span.begin(command.name()));
  return span;
}

/** An interruption is what ended everything, whatever it broke on its way; a transfer adds to it what was kept. */
function whyItEnded(signal: AbortSignal, error: unknown): unknown {
  if (!signal.aborted || isTartletError(error, 'INTERRUPTED')) return error;
  return signal.reason instanceof TartletError ? signal.reason : error;
}
