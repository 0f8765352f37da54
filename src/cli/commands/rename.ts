import { isTartletError, TartletError } from '../../errors.ts';
import { LocalName } from '../../names/local-name.ts';
import { withSession } from '../session.ts';
import type { Terminal } from '../terminal.ts';
import { newLocalName } from './clone.ts';

/** A missing source and a taken target are wrong usage here, as in Tart (tart-cli §1.16). */
export async function runRename(terminal: Terminal, from: string, to: string): Promise<number> {
  return withSession(terminal, async (session) => {
    try {
      await session.vms.rename(LocalName.parse(from), newLocalName(to));
      return 0;
    } catch (cause) {
      if (!isTartletError(cause, 'VM_NOT_FOUND', 'VM_EXISTS')) throw cause;
      throw new TartletError('USAGE', cause.message, { ...cause.facts, cause });
    }
  });
}
