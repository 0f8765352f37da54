import os from 'node:os';
import path from 'node:path';
import { isatty } from 'node:tty';
import { systemCode, TartletError } from '../errors.ts';
import type { Hint } from '../hint.ts';
import { diskError } from '../fs/disk-error.ts';
import { translateBuiltIn } from './terminal/built-in.ts';
import { ErrorFirstStream, finishNotes, type MessageStream, writeError } from './terminal/message-stream.ts';
import { renderError } from './render/error.ts';
import { exitCodeOf } from './render/exit-code.ts';
import { run } from './run.ts';
import type { Terminal } from './terminal/terminal.ts';

/*
 * The process around a command: streams, signals, exit code. Besides main.ts, the only file that touches the process
 * itself.
 */

/** Exit codes of a process that a signal ended, as shells count them. */
const SIGNAL_EXIT = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
/** The same for SIGPIPE, which Node turns into an error of the stream. */
const BROKEN_PIPE_EXIT = 141;
/** What `sysexits.h` calls EX_SOFTWARE: nothing says whether the command did its work. */
const NEVER_ENDED_EXIT = 70;

/** Runs the command line of this process to its end, and ends it when its output has arrived. */
export async function runProcess(): Promise<void> {
  const argv = process.argv.slice(2);
  const here = workingDirectory();
  const stderr: MessageStream = process.stderr.isTTY ? process.stderr : new ErrorFirstStream(process.stderr);
  const interruption = new AbortController();
  /** Whether the command has ended, and only what it said is still under way. */
  let over = false;
  const onReload = hearSignals(interruption, () => over);
  process.stdout.on('error', (cause: NodeJS.ErrnoException) => {
    // A reader that has seen enough (`tartlet list | head -1`) is no failure of a command that has done its work.
    if (over) outputFailed(cause, stderr);
    else interruption.abort(outputError(cause));
  });
  // Without stderr nothing can be told, and the work goes on (reliability P9).
  process.stderr.on('error', () => {});
  // Unhandled rejections come here as well. Locks and scratch are freed by the end of the process
  // (reliability P11).
  process.on('uncaughtException', (error) => {
    writeError(stderr, renderError(error, stderr, process.env));
    process.exit(exitCodeOf(error));
  });
  let asked: string | undefined;
  process.on('beforeExit', () => {
    if (!over) failAsNeverEnded(stderr, argv, asked);
  });
  const terminal: Terminal = {
    // Made when it is read first: opening it takes longer than most commands compute.
    get stdin() {
      return process.stdin;
    },
    stdout: process.stdout,
    stderr,
    environment: process.env,
    get workingDirectory() {
      if (here === undefined) throw noWorkingDirectory();
      return here;
    },
    get userDirectory() {
      return userDirectory();
    },
    platform: process.platform,
    // Asked when a command needs it: one does.
    get machine() {
      return os.machine();
    },
    uid: process.getuid?.(),
    now: () => new Date(),
    umask: (mask) => process.umask(mask),
    signal: interruption.signal,
    asksFor: (what) => {
      asked = what;
    },
    onReload,
    argv,
    programPath: process.argv[1] ?? 'tartlet',
    programName: path.basename(process.argv[1] ?? 'tartlet'),
  };
  if (argv.length === 2 && argv.includes('--version') && argv.includes('--verbose')) {
    const { versionInDetail } = await import('./commands/version.ts');
    process.stdout.write(versionInDetail());
  } else process.exitCode = await run(terminal, translateBuiltIn(argv, terminal));
  over = true;
  // What the streams have to say of the last writes comes before.
  setImmediate(() => leave(stderr));
}

/**
 * @param isOver whether the command has ended, and only what it said is still under way.
 * @returns what registers the listener for a SIGHUP that ends nothing.
 */
function hearSignals(interruption: AbortController, isOver: () => boolean): Terminal['onReload'] {
  let reload: (() => void) | undefined;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (signal === 'SIGHUP' && !endsByHangup(reload)) return;
      // The first asks for a clean end, in which everything verified is kept; the second ends at once.
      if (isOver() || interruption.signal.aborted) process.exit(SIGNAL_EXIT[signal]);
      interruption.abort(
        new TartletError('INTERRUPTED', `interrupted by ${signal}`, {
          next: { kind: 'in-words', words: 'run the same command again to continue' },
          status: SIGNAL_EXIT[signal],
        }),
      );
    });
  }
  return (listener) => {
    reload = listener;
  };
}

/**
 * Writes the notes that were held back, and ends the process, if everything is written. By itself Node waits until V8
 * has optimized what will not run again, which takes longer than a short command computes.
 */
function leave(stderr: MessageStream): void {
  finishNotes(stderr);
  if (process.stdout.writableLength === 0 && process.stderr.writableLength === 0) process.exit();
}

/** Says why stdout takes nothing more, unless it is only that its reader has seen enough, and sets the exit code. */
export function outputFailed(cause: Error, stderr: MessageStream = process.stderr): void {
  const error = outputError(cause);
  if (error.code === 'INTERRUPTED') return;
  writeError(stderr, renderError(error, stderr, process.env));
  process.exitCode = exitCodeOf(error);
}

/**
 * Nothing is left that could end the command, and Node would call that a success: a push that had stored nothing once
 * ended with 0.
 * @param asked the last that the command asked a registry for.
 */
function failAsNeverEnded(stderr: MessageStream, argv: readonly string[], asked: string | undefined): never {
  const last = asked === undefined ? '' : `; the last it asked for was ${asked}`;
  const error = new TartletError(
    'INTERNAL',
    `"${argv[0] ?? ''}" stopped in its middle: nothing is left that could finish it${last}`,
    { kept: 'whatever was stored before is there; whether all of it is there is not known' },
  );
  writeError(stderr, renderError(error, stderr, process.env));
  process.exit(NEVER_ENDED_EXIT);
}

/** Undefined when it was deleted. Threads and programs that we start need one that is there, and get the root. */
function workingDirectory(): string | undefined {
  try {
    return process.cwd();
  } catch {
    process.chdir('/');
    return undefined;
  }
}

function noWorkingDirectory(): TartletError {
  return new TartletError('NOT_FOUND', 'the working directory is not there any more', {
    next: { kind: 'in-words', words: 'change to a directory that exists, or give absolute paths' },
  });
}

/** By `HOME`, else as the system knows its users; undefined when neither tells. */
function userDirectory(): string | undefined {
  try {
    const directory = os.homedir();
    return path.isAbsolute(directory) ? directory : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whether SIGHUP ends the command. A terminal that goes away takes with it the commands that talk to it; streams
 * remember that they were one. Without one nothing ends: Node forgets that `nohup` wanted the signal ignored
 * (reliability P8).
 * @param reload of a command that reads its settings again when it gets the signal.
 */
function endsByHangup(reload: (() => void) | undefined): boolean {
  const isGone = hasTerminal() && ![0, 1, 2].some((descriptor) => isatty(descriptor));
  if (!isGone) reload?.();
  return isGone || (reload === undefined && hasTerminal());
}

function hasTerminal(): boolean {
  return [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY);
}

/** Why stdout takes nothing more: its reader went away, or its disk is full. */
function outputError(cause: Error): TartletError {
  if (systemCode(cause) !== 'EPIPE') return diskError(cause, 'write to', 'stdout');
  const next: Hint = {
    kind: 'in-words',
    words: 'let the program that reads the output go on to the end, or write to a file',
  };
  return new TartletError('INTERRUPTED', 'nothing reads the output any more', {
    status: BROKEN_PIPE_EXIT,
    next,
    cause,
  });
}
