import { PassThrough } from 'node:stream';
import { run } from '../../src/cli/run.ts';
import type { Screen, Terminal } from '../../src/cli/terminal/terminal.ts';
import { secretsIn } from './canary.ts';
import type { Ran, Workplace } from './real-command.ts';

/** A stream that may say that it is a terminal, and keeps what was written. */
class Recorder extends PassThrough implements Screen {
  readonly columns: number | undefined;
  text = '';

  constructor(columns: number | undefined) {
    super();
    this.columns = columns;
    this.setEncoding('utf8').on('data', (text: string) => {
      this.text += text;
    });
  }

  get isTTY(): boolean {
    return this.columns !== undefined;
  }
}

/**
 * A terminal of this process, for tables too long to start the command for each row: the whole command line below
 * `main.ts`, in the home of a workplace.
 * @param columns of the screen; none is a pipe.
 */
export function terminalHere(
  workplace: Workplace,
  argv: readonly string[],
  columns?: number,
): Terminal & { readonly stdout: Recorder; readonly stderr: Recorder } {
  return {
    stdin: Object.assign(new PassThrough().end(), { isTTY: false }),
    stdout: new Recorder(columns),
    stderr: new Recorder(columns),
    environment: workplace.environment,
    workingDirectory: workplace.environment['HOME'] ?? '/',
    userDirectory: workplace.environment['HOME'] ?? '/',
    platform: 'linux',
    uid: process.getuid?.(),
    now: () => new Date(),
    signal: new AbortController().signal,
    onReload: () => undefined,
    argv,
    machine: 'x86_64',
    programPath: '/usr/bin/tartlet',
    programName: 'tartlet',
  };
}

/** Runs a command line in this process. */
export async function runHere(workplace: Workplace, argv: readonly string[], columns?: number): Promise<Ran> {
  const terminal = terminalHere(workplace, argv, columns);
  const exitCode = await run(terminal, argv);
  const told = secretsIn(`${terminal.stdout.text}${terminal.stderr.text}`, workplace.environment);
  if (told.length > 0) throw new Error(`${argv.join(' ')} told ${told.join(', ')}`);
  return { exitCode, stdout: terminal.stdout.text, stderr: terminal.stderr.text };
}
