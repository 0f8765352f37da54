import type { Writable } from 'node:stream';
import { TartletError } from '../../../errors.ts';
import type { TerminalSize } from '../../../guest/agent-contract.ts';
import type { GuestOutput, GuestTerminal } from '../../../guest/guest-command.ts';
import { LocalName } from '../../../names/local-name.ts';
import { execInVm } from '../../../run/exec.ts';
import { handOver } from '../../session/hand-over.ts';
import { withSession } from '../../session/session.ts';
import { releaseNotes } from '../../terminal/message-stream.ts';
import type { Terminal } from '../../terminal/terminal.ts';

export interface ExecCommandOptions {
  /** Our standard input is the command's. */
  readonly i?: true;
  /** It gets a terminal. */
  readonly t?: true;
}

/** What the guest's command writes is written byte by byte, as it comes, and its exit code is ours (tart-cli §1.10). */
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
      const giveBack = options.i === true && options.t === true ? takeKeys(terminal) : undefined;
      try {
        return await execInVm(
          session,
          LocalName.ofExisting(text),
          {
            words: [program, ...rest],
            input: options.i === true ? (terminal.stdin as AsyncIterable<Uint8Array>) : undefined,
            terminal: options.t === true ? terminalOf(terminal) : undefined,
          },
          outputTo(terminal),
        );
      } finally {
        giveBack?.();
        // What is not read any more would keep us from ending.
        if (options.i === true) terminal.stdin.destroy();
      }
    },
    { cache: 'untouched' },
  );
}

/** Each key is for the guest, Ctrl-C as well: the terminal there knows what to do. @returns what ends that */
function takeKeys({ stdin }: Terminal): (() => void) | undefined {
  if (stdin.isTTY !== true || stdin.setRawMode === undefined) return undefined;
  stdin.setRawMode(true);
  return () => void stdin.setRawMode?.(false);
}

/** A size that programs expect of a terminal, where ours is none. */
const USUAL_SIZE: TerminalSize = { columns: 80, rows: 24 };

function terminalOf({ stdout }: Terminal): GuestTerminal {
  const size = (): TerminalSize => ({
    columns: stdout.columns ?? USUAL_SIZE.columns,
    rows: stdout.rows ?? USUAL_SIZE.rows,
  });
  return {
    size: size(),
    onResize: (listener) => {
      const told = (): void => listener(size());
      (stdout as unknown as Writable).on('resize', told);
      return () => void (stdout as unknown as Writable).off('resize', told);
    },
  };
}

/** Bytes, past what makes text printable: they are the command's. */
function outputTo({ stdout, stderr }: Terminal): GuestOutput {
  return {
    // The next comes when this has been taken: no more of it is held than that.
    stdout: async (data) =>
      new Promise((resolve) => {
        (stdout as unknown as Writable).write(data, () => resolve());
      }),
    // What holds back notes says nothing of that; it is taken at once (process.stderr writes synchronously on Linux).
    stderr: async (data) => {
      releaseNotes(stderr);
      (stderr as unknown as Writable).write(data);
    },
  };
}
