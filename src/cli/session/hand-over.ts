import { spawn } from 'node:child_process';
import { realpath } from 'node:fs/promises';
import os from 'node:os';
import { describeError, TartletError } from '../../errors.ts';
import { programsIn } from '../../fs/system-program.ts';
import { dialectOf } from '../terminal/dialect.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { takeSignals } from './signals.ts';

/** Set for the Tart that we start: should it be a script that starts us again, the second of us ends the circle. */
const MARK = 'TARTLET_HANDED_OVER';

/**
 * Lets Tart do what needs Apple's hypervisor: on a Mac, with another `tart` in `PATH` than ourselves. It gets the very same arguments and our
 * streams, and every signal. Node cannot become another program, so that we stay around as its parent; whoever kills us for good (SIGKILL) leaves it running.
 *
 * @returns Tart's exit code, or undefined where there is no Tart to hand over to.
 */
export async function handOver(terminal: Terminal): Promise<number | undefined> {
  if (terminal.platform !== 'darwin' || terminal.environment[MARK] !== undefined) return undefined;
  // The same words mean other things in Vetu's dialect.
  if (dialectOf(terminal) !== 'tart') return undefined;
  const tart = await findTart(terminal);
  return tart === undefined ? undefined : runProgram(tart, terminal);
}

/** The first `tart` in `PATH` that is not this very program under the name of Tart. */
async function findTart(terminal: Terminal): Promise<string | undefined> {
  const ourselves = await realpath(terminal.programPath).catch(() => terminal.programPath);
  for await (const file of programsIn(terminal.environment['PATH'] ?? '', 'tart')) {
    if ((await realpath(file)) !== ourselves) return file;
  }
  return undefined;
}

async function runProgram(file: string, terminal: Terminal): Promise<number> {
  // Drivers look for a process that is called `tart` and has `run` as its first argument (tart-cli §5.1).
  const child = spawn(file, terminal.argv, {
    argv0: 'tart',
    stdio: 'inherit',
    env: { ...terminal.environment, [MARK]: '1' },
  });
  const giveBack = forwardSignals((signal) => void child.kill(signal), terminal.stdin.isTTY === true);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', (cause) =>
        reject(
          new TartletError('NOT_FOUND', `cannot start ${file}: ${describeError(cause)}`, { subject: file, cause }),
        ),
      );
      child.once('exit', (code, signal) => resolve(code ?? 128 + os.constants.signals[signal ?? 'SIGKILL']));
    });
  } finally {
    giveBack();
  }
}

/**
 * @param onTerminal a Ctrl-C then reaches Tart by itself, together with us; sent on, it would arrive twice.
 * @returns what ends it.
 */
function forwardSignals(send: (signal: NodeJS.Signals) => void, onTerminal: boolean): () => void {
  return takeSignals((signal) => {
    if (!(onTerminal && (signal === 'SIGINT' || signal === 'SIGQUIT'))) send(signal);
  });
}
