import { listVms } from '../../vm/listing.ts';
import { printableLines } from '../terminal/printable.ts';
import { withSession } from '../session/session.ts';
import type { Terminal } from '../terminal/terminal.ts';

/** What the completion scripts call: names that begin with what was typed, one a line. Never fails: a shell is waiting. */
export async function runComplete(terminal: Terminal, what: string, prefix: string): Promise<number> {
  if (what !== 'names') return 0;
  return withSession(terminal, async (session) => {
    const names = (await listVms(session)).map((row) => row.name).filter((name) => name.startsWith(prefix));
    terminal.stdout.write(printableLines(names));
    return 0;
  }).catch(() => 0);
}
