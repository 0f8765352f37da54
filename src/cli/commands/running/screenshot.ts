import { randomUUID } from 'node:crypto';
import path from 'node:path';
import type { Writable } from 'node:stream';
import { TartletError } from '../../../errors.ts';
import { replaceFile } from '../../../fs/replace-file.ts';
import { LocalName } from '../../../names/local-name.ts';
import { takeScreenshot } from '../../../run/screenshot.ts';
import { withSession } from '../../session/session.ts';
import { resolvePath, type Terminal } from '../../terminal/terminal.ts';

/** Silent: the file is there, in one step, or the reason why not. */
export async function runScreenshot(terminal: Terminal, text: string, to: string): Promise<number> {
  if (terminal.platform === 'darwin') {
    throw new TartletError('HOST_LACKS', 'Tart, which runs VMs on a Mac, takes no pictures of their screens', {
      next: { kind: 'in-words', words: 'run the VM with --vnc-experimental, and take the picture there' },
    });
  }
  if (to === '-' && terminal.stdout.isTTY === true) {
    throw new TartletError('USAGE', 'a picture does not go to a terminal', {
      next: { kind: 'in-words', words: 'redirect stdout, or name a file' },
    });
  }
  return withSession(
    terminal,
    async (session) => {
      const picture = await takeScreenshot(session, LocalName.ofExisting(text));
      if (to === '-') (terminal.stdout as unknown as Writable).write(picture);
      else await write(resolvePath(terminal, to), picture);
      return 0;
    },
    { cache: 'untouched' },
  );
}

async function write(file: string, picture: Uint8Array): Promise<void> {
  const temporary = path.join(path.dirname(file), `.${path.basename(file).slice(0, 100)}.${randomUUID()}`);
  await replaceFile(file, { temporary, write: async (handle) => handle.writeFile(picture) });
}
