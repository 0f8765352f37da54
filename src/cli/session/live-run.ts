import { spawn } from 'node:child_process';
import { describeError, TartletError } from '../../errors.ts';
import { TART_NAME, type TartProgram } from '../../hypervisor/tart/tart-program.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { exitCodeOfSignal } from './attached-program.ts';
import type { TakenSignal } from './signals.ts';

/** A VM that this command runs, by itself or by Tart, while it does something else. */
export interface LiveRun {
  /** The exit code of `run`. Rejects with the reason when it does not start. */
  readonly ended: Promise<number>;
  /** Fires when it has ended. */
  readonly over: AbortSignal;
  /** What `run` makes of a signal. */
  signal(signal: TakenSignal): void;
  /** Ends it without a word to the guest. */
  end(): void;
}

/** How long a Tart that was told to cut the power may take, in milliseconds. */
const TART_ENDS_WITHIN_MS = 10_000;

/**
 * @param argv of `tart run`. @param isQuiet its stdout is not for our user.
 */
export function runByTart(terminal: Terminal, tart: TartProgram, argv: readonly string[], isQuiet: boolean): LiveRun {
  const child = spawn(tart.file, argv, {
    argv0: TART_NAME,
    stdio: isQuiet ? ['ignore', 'ignore', 'inherit'] : 'inherit',
    env: tart.environment,
  });
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', (cause) =>
      reject(new TartletError('NOT_FOUND', `cannot start ${tart.file}: ${describeError(cause)}`, { cause })),
    );
    child.once('exit', (code, signal) => resolve(code ?? exitCodeOfSignal(signal)));
  });
  return {
    ...watched(ended),
    signal: (signal) => {
      // By Ctrl-C on a terminal it gets one itself.
      if (!(terminal.stdin.isTTY === true && (signal === 'SIGINT' || signal === 'SIGQUIT'))) child.kill(signal);
    },
    end: () => {
      child.kill('SIGINT');
      setTimeout(() => child.kill('SIGKILL'), TART_ENDS_WITHIN_MS).unref();
    },
  };
}

/** The promise, and what fires with it. */
export function watched(ended: Promise<number>): Pick<LiveRun, 'ended' | 'over'> {
  const over = new AbortController();
  void ended.then(
    () => over.abort(),
    () => over.abort(),
  );
  return { ended, over: over.signal };
}
