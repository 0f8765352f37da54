import os from 'node:os';
import path from 'node:path';
import { TartletError } from '../errors.ts';
import { translateBuiltIn } from './built-in.ts';
import { run } from './run.ts';
import type { Terminal } from './terminal.ts';
import { VERSION } from './version.ts';

/*
 * The process around a command: streams, signals, exit code. The only file that touches the process itself.
 */

/** Exit codes of a process that a signal ended, as shells count them. */
const SIGNAL_EXIT = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

const argv = process.argv.slice(2);

// The most frequent call of scripts, answered before anything is loaded.
if (argv.length === 1 && argv[0] === '--version') process.stdout.write(`${VERSION}\n`);
else await main();

async function main(): Promise<void> {
  const interruption = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      // The first asks for a clean end, in which everything verified is kept; the second ends at once.
      if (interruption.signal.aborted) process.exit(SIGNAL_EXIT[signal]);
      interruption.abort(
        new TartletError('INTERRUPTED', `interrupted by ${signal}`, {
          next: 'run the same command again to continue',
          status: SIGNAL_EXIT[signal],
        }),
      );
    });
  }
  // A reader that went away (`tartlet list | head -1`) is no reason for a stack trace.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      if (stream === process.stdout) process.exit(0);
    });
  }
  const terminal: Terminal = {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    environment: process.env,
    workingFolder: process.cwd(),
    userFolder: os.homedir(),
    platform: process.platform,
    uid: process.getuid?.(),
    now: () => new Date(),
    signal: interruption.signal,
    argv,
    programPath: process.argv[1] ?? 'tartlet',
    programName: path.basename(process.argv[1] ?? 'tartlet'),
  };
  process.exitCode = await run(terminal, translateBuiltIn(argv, terminal));
}
