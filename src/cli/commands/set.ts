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

/** What a change means to a saved state, by what does not fit any more. */
const STALE = {
  identity: 'its saved state has the old address or serial number: if it does not resume',
  machine: 'its saved state is of the machine that it was: it does not resume before that is set again',
} as const;

export async function runSet(terminal: Terminal, text: string, options: SetCommandOptions): Promise<number> {
  return withSession(terminal, async (session) => {
    const name = LocalName.ofExisting(text);
    const { staleState } = await setVm(session, name, {
      cpuCount: options.cpu,
      memoryBytes: options.memory === undefined ? undefined : options.memory * 1024 * 1024,
      display: options.display,
      displayRefit: options.displayRefit,
      randomMac: options.randomMac ?? false,
      randomSerial: options.randomSerial ?? false,
      disk: options.disk === undefined ? undefined : resolvePath(terminal, options.disk),
      diskBytes: options.diskSize === undefined ? undefined : options.diskSize * 1_000_000_000,
    });
    if (staleState !== 'none') {
      writeLines(
        terminal.stderr,
        `note: ${name.text} is suspended, and ${STALE[staleState]}; ${terminal.programName} stop ` +
          `${name.text} drops that state`,
      );
    }
    return 0;
  });
}
