import { LocalName } from '../../../names/local-name.ts';
import { stopVm } from '../../../vm/stop.ts';
import { handOver } from '../../session/hand-over.ts';
import { withSession } from '../../session/session.ts';
import type { Terminal } from '../../terminal/terminal.ts';

export interface StopCommandOptions {
  /** Seconds. */
  readonly timeout: number;
}

/** Silent, as in Tart. */
export async function runStop(terminal: Terminal, text: string, options: StopCommandOptions): Promise<number> {
  const exitCode = await handOver(terminal);
  if (exitCode !== undefined) return exitCode;
  return withSession(terminal, async (session) => {
    await stopVm(session, LocalName.ofExisting(text), { timeoutMs: options.timeout * 1000 });
    return 0;
  });
}
