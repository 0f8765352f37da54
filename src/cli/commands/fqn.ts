import { RemoteName } from '../../names/remote-name.ts';
import { printableLine } from '../terminal/printable.ts';
import { withSession } from '../session/session.ts';
import type { Terminal } from '../terminal/terminal.ts';

/** Whatever is no remote name is echoed, as Tart does: Orchard asks for local names too (tart-cli §1.19). */
export async function runFqn(terminal: Terminal, text: string): Promise<number> {
  return withSession(terminal, async (session) => {
    if (!RemoteName.looksRemote(text)) {
      terminal.stdout.write(printableLine(text));
      return 0;
    }
    const name = RemoteName.parse(text);
    const { digest } = await session.images.require(name, 'show');
    terminal.stdout.write(printableLine(name.withDigest(digest).toString()));
    return 0;
  });
}
