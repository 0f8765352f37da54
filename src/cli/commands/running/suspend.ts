import { LocalName } from '../../../names/local-name.ts';
import { suspendVm } from '../../../run/suspend.ts';
import { handOver } from '../../session/hand-over.ts';
import { withSession } from '../../session/session.ts';
import type { Terminal } from '../../terminal/terminal.ts';

/** Asks, and does not wait: the program that runs the VM ends when the memory is written (tart-cli §1.20). */
export async function runSuspend(terminal: Terminal, text: string): Promise<number> {
  const exitCode = await handOver(terminal);
  if (exitCode !== undefined) return exitCode;
  return withSession(
    terminal,
    async (session) => {
      await suspendVm(session, LocalName.ofExisting(text));
      return 0;
    },
    { cache: 'untouched' },
  );
}
