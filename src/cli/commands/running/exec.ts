import { buffer } from 'node:stream/consumers';
import type { Writable } from 'node:stream';
import { TartletError } from '../../../errors.ts';
import { LocalName } from '../../../names/local-name.ts';
import { execInVm } from '../../../run/exec.ts';
import { handOver } from '../../session/hand-over.ts';
import { withSession } from '../../session/session.ts';
import { releaseNotes } from '../../terminal/message-stream.ts';
import { printableLine } from '../../terminal/printable.ts';
import type { Terminal } from '../../terminal/terminal.ts';

export interface ExecCommandOptions {
  /** Our standard input is the command's. */
  readonly i?: true;
  /** It gets a terminal. */
  readonly t?: true;
}

/** What the guest's command writes is written byte by byte, and its exit code is ours (tart-cli §1.10). */
export async function runExec(
  terminal: Terminal,
  text: string,
  command: readonly string[],
  options: ExecCommandOptions,
): Promise<number> {
  const exitCode = await handOver(terminal);
  if (exitCode !== undefined) return exitCode;
  const [program, ...rest] = command;
  if (program === undefined) throw new TartletError('USAGE', 'there is no command to run');
  return withSession(
    terminal,
    async (session) => {
      const input = options.i === true ? await buffer(terminal.stdin) : undefined;
      const exit = await execInVm(session, LocalName.ofExisting(text), [program, ...rest], {
        input,
        terminal: options.t === true,
      });
      releaseNotes(terminal.stderr);
      (terminal.stdout as unknown as Writable).write(exit.stdout);
      (terminal.stderr as unknown as Writable).write(exit.stderr);
      if (exit.isCutOff)
        terminal.stderr.write(printableLine('warning: the agent kept only the beginning of the output'));
      return exit.exitCode;
    },
    { cache: 'untouched' },
  );
}
