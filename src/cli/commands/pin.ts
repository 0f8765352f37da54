import { pinImage } from '../../home/images/pin.ts';
import { RemoteName } from '../../names/remote-name.ts';
import { withSession } from '../session/session.ts';
import type { Terminal } from '../terminal/terminal.ts';

/** In order, and the first failure ends it. Every name is parsed before anything is changed. */
export async function runPin(terminal: Terminal, texts: readonly string[], pinned: boolean): Promise<number> {
  return withSession(terminal, async (session, say) => {
    for (const name of texts.map((text) => RemoteName.parse(text))) {
      const { image, changed } = await pinImage(session, name, pinned);
      const state = wordFor(pinned, changed);
      say(`${name.toString()} is ${state}${changed ? '' : ', as before'} (${image.digest.toString()})`);
    }
    return 0;
  });
}

function wordFor(pinned: boolean, changed: boolean): string {
  if (pinned) return 'pinned';
  return changed ? 'no longer pinned' : 'not pinned';
}
