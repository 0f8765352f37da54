import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { isTartletError } from '../../../errors.ts';
import { LocalName } from '../../../names/local-name.ts';
import { readSerialLog } from '../../../run/serial-log.ts';
import { withSession } from '../../session/session.ts';
import { printableByLine } from '../../terminal/printable.ts';
import { TerminalText } from '../../terminal/terminal-text.ts';
import type { Terminal } from '../../terminal/terminal.ts';

export interface LogsCommandOptions {
  readonly follow?: true;
  /** Of the run before the last one. */
  readonly previous?: true;
}

/** Byte for byte into a pipe or a file. On a terminal without what would command it: a guest writes what it wants. */
export async function runLogs(terminal: Terminal, text: string, options: LogsCommandOptions): Promise<number> {
  return withSession(
    terminal,
    async (session) => {
      const { stdout } = terminal;
      const shown = stdout.isTTY === true ? new TerminalText() : undefined;
      const pieces = readSerialLog(session, LocalName.ofExisting(text), {
        former: options.previous === true,
        follow: options.follow === true,
      });
      try {
        for await (const piece of pieces) {
          const isFull =
            shown === undefined
              ? !(stdout as unknown as Writable).write(piece)
              : !stdout.write(printableByLine(shown.next(piece)));
          if (isFull) await once(stdout as unknown as Writable, 'drain', { signal: session.signal });
        }
        if (shown !== undefined) stdout.write(printableByLine(shown.rest()));
        return 0;
      } catch (error) {
        if (options.follow === true && terminal.signal.aborted) return endOfFollowing(terminal.signal);
        throw error;
      }
    },
    { cache: 'untouched' },
  );
}

/** To be told to end is how it ends: no error, and the exit code of the signal. */
function endOfFollowing({ reason }: AbortSignal): number {
  if (isTartletError(reason, 'INTERRUPTED') && reason.facts.status !== undefined) return reason.facts.status;
  throw reason;
}
