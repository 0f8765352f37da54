import { spawn, type StdioOptions } from 'node:child_process';
import os from 'node:os';
import { describeError, TartletError } from '../../errors.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { type TakenSignal, takeSignals } from './signals.ts';

/** A program that takes our place. */
export interface AttachedProgram {
  readonly file: string;
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What it is called. Default: its file. */
  readonly name?: string;
  /** Where it works. Default: where we do. */
  readonly directory?: string;
  /** What of ours it has; default: all. */
  readonly stdio?: StdioOptions;
  /** Told of each signal, which the program gets as well. */
  readonly onSignal?: (signal: TakenSignal) => void;
  /** Ends it. */
  readonly over?: AbortSignal;
}

/**
 * Runs a program with our streams, our terminal and every signal. Node cannot become another program, so that we stay
 * around as its parent; that we are killed for good (SIGKILL) leaves it running.
 *
 * @returns its exit code, or 128 and the number of the signal that ended it.
 */
export async function runAttached(terminal: Terminal, program: AttachedProgram): Promise<number> {
  const child = spawn(program.file, program.argv, {
    argv0: program.name ?? program.file,
    stdio: program.stdio ?? 'inherit',
    env: program.environment,
    cwd: program.directory,
  });
  const onTerminal = terminal.stdin.isTTY === true;
  const giveBack = takeSignals((signal) => {
    program.onSignal?.(signal);
    // A Ctrl-C on a terminal reaches the program by itself, together with us; sent on, it would arrive twice.
    if (!(onTerminal && (signal === 'SIGINT' || signal === 'SIGQUIT'))) child.kill(signal);
  });
  const end = (): void => void child.kill();
  program.over?.addEventListener('abort', end);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', (cause) =>
        reject(
          new TartletError('NOT_FOUND', `cannot start ${program.file}: ${describeError(cause)}`, {
            subject: program.file,
            cause,
          }),
        ),
      );
      child.once('exit', (code, signal) => resolve(code ?? exitCodeOfSignal(signal)));
    });
  } finally {
    program.over?.removeEventListener('abort', end);
    giveBack();
  }
}

/** As shells count. */
export function exitCodeOfSignal(signal: NodeJS.Signals | null): number {
  return 128 + os.constants.signals[signal ?? 'SIGKILL'];
}
