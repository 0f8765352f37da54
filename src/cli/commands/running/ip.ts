import { LocalName } from '../../../names/local-name.ts';
import { addressOf, type Resolver } from '../../../run/address.ts';
import { handOver } from '../../session/hand-over.ts';
import { withSession } from '../../session/session.ts';
import { printableLine } from '../../terminal/printable.ts';
import type { Terminal } from '../../terminal/terminal.ts';

export interface IpCommandOptions {
  /** Seconds. */
  readonly wait: number;
  readonly resolver: Resolver;
}

/** One address on one line, and nothing on stderr: Packer reads both as one (tart-cli §1.9). */
export async function runIp(terminal: Terminal, text: string, options: IpCommandOptions): Promise<number> {
  const exitCode = await handOver(terminal);
  if (exitCode !== undefined) return exitCode;
  return withSession(
    terminal,
    async (session) => {
      const address = await addressOf(session, LocalName.ofExisting(text), {
        resolver: options.resolver,
        waitMs: options.wait * 1000,
      });
      terminal.stdout.write(printableLine(address));
      return 0;
    },
    { cache: 'untouched' },
  );
}
