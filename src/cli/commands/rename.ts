import { isTartletError, TartletError } from '../../errors.ts';
import { LocalName } from '../../names/local-name.ts';
import { withSession } from '../session/session.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { newLocalName } from '../session/usage-error.ts';

/**
 * A taken target is wrong usage, as in Tart (tart-cli §1.16); a missing source is not, but one more missing VM
 * (tart-cli §7 #32).
 */
export async function runRename(terminal: Terminal, from: string, to: string): Promise<number> {
  return withSession(terminal, async (session) => {
    const target = newLocalName(to);
    try {
      await session.vms.rename(LocalName.ofExisting(from), target);
      return 0;
    } catch (cause) {
      if (!isTartletError(cause, 'VM_EXISTS')) throw cause;
      throw new TartletError('USAGE', cause.message, { ...cause.facts, cause });
    }
  });
}
