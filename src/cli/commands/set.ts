import { LocalName } from '../../names/local-name.ts';
import type { Display } from '../../vm/display.ts';
import { setVm } from '../../vm/set.ts';
import { withSession } from '../session/session.ts';
import { writeLines } from '../terminal/message-stream.ts';
import { resolvePath, type Terminal } from '../terminal/terminal.ts';

export interface SetCommandOptions {
  readonly cpu?: number;
  /** MiB. */
  readonly memory?: number;
  readonly display?: Display;
  readonly displayRefit?: boolean;
  readonly randomMac?: true;
  readonly randomSerial?: true;
  readonly disk?: string;
  /** GB of 10^9 bytes. */
  readonly diskSize?: number;
}

export async function runSet(terminal: Terminal, text: string, options: SetCommandOptions): Promise<number> {
  return withSession(terminal, async (session) => {
    const name = LocalName.ofExisting(text);
    const { savedStateIsStale } = await setVm(session, name, {
      cpuCount: options.cpu,
      memoryBytes: options.memory === undefined ? undefined : options.memory * 1024 * 1024,
      display: options.display,
      displayRefit: options.displayRefit,
      randomMac: options.randomMac ?? false,
      randomSerial: options.randomSerial ?? false,
      disk: options.disk === undefined ? undefined : resolvePath(terminal, options.disk),
      diskBytes: options.diskSize === undefined ? undefined : options.diskSize * 1_000_000_000,
    });
    if (savedStateIsStale) {
      writeLines(
        terminal.stderr,
        `note: ${name.text} is suspended, and its saved state has the old address or serial number; if it does not resume, ${terminal.programName} stop ${name.text} drops that state`,
      );
    }
    return 0;
  });
}
