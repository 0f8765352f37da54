import { LocalName } from '../../names/local-name.ts';
import { RemoteName } from '../../names/remote-name.ts';
import { withSession } from '../session.ts';
import type { Terminal } from '../terminal.ts';

/** In order, and the first failure ends it, as in Tart (tart-cli §1.18). Every name is parsed before anything is deleted. */
export async function runDelete(terminal: Terminal, texts: readonly string[]): Promise<number> {
  return withSession(terminal, async (session) => {
    const names = texts.map((text) => (RemoteName.looksRemote(text) ? RemoteName.parse(text) : LocalName.parse(text)));
    for (const name of names) {
      if (name instanceof RemoteName) await session.images.delete(name);
      else await session.vms.delete(name);
    }
    return 0;
  });
}
