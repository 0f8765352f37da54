import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { TartletError } from '../../errors.ts';
import { removeEntry } from '../../fs/remove.ts';
import type { MachineEvents } from '../hypervisor.ts';
import type { Machine, Share } from '../machine.ts';
import { type BoundProcessOptions, startBoundProcess } from './bound-process.ts';
import type { ShareHost } from './share-host.ts';
import { jailedCommand } from './share-jail.ts';

/** So much of what a server says is kept, in characters. */
const MAX_WORDS = 4096;

/** How long a server may take until it listens, in milliseconds: 100 is normal, a loaded machine takes seconds. */
const LISTENS_WITHIN_MS = 30_000;
const LOOK_EVERY_MS = 10;

/** How much later than a server we may hear that QEMU has ended, in milliseconds. */
const QEMU_ENDS_WITHIN_MS = 1000;

/** The socket of a share, by its place in the machine's list: a name in the machine's directory. */
export function shareSocket(index: number): string {
  return `share${index}.sock`;
}

export interface ShareServerOptions extends Omit<BoundProcessOptions, 'inherited'> {
  /** Undefined for machines without shares. */
  readonly shareHost?: ShareHost | undefined;
  readonly events: MachineEvents;
}

/**
 * What serves the directories of one start of a machine: a process for each share. They end with QEMU, or with us, or
 * when they are told to.
 */
export class ShareServers {
  readonly #machine: Machine;
  readonly #options: ShareServerOptions;
  readonly #children: ChildProcess[] = [];
  readonly #telling: NodeJS.Timeout[] = [];
  #isOver = false;

  private constructor(machine: Machine, options: ShareServerOptions) {
    this.#machine = machine;
    this.#options = options;
  }

  /**
   * Each listens when this returns. They are for one start of QEMU, since they end with it.
   * @throws TartletError `GUEST_FAILED` with the last words of one that does not listen.
   */
  static async start(machine: Machine, options: ShareServerOptions): Promise<ShareServers> {
    const servers = new ShareServers(machine, options);
    const { shareHost } = options;
    if (shareHost === undefined) return servers;
    try {
      await Promise.all(machine.shares.map(async (share, index) => servers.#serve(shareHost, share, index)));
      return servers;
    } catch (error) {
      await servers.end();
      throw error;
    }
  }

  async #serve(host: ShareHost, share: Share, index: number): Promise<void> {
    const { directory } = this.#machine;
    const { events } = this.#options;
    const socket = `${directory}/${shareSocket(index)}`;
    await removeEntry(socket);
    const argv = jailedCommand(
      host,
      // Covered by what is served: the guest's own disk is not to be seen, also where a directory above it is shared.
      { root: directory, hostArch: host.arch, directories: share.directories },
      (served) => [host.virtiofsd, ...serverOptions(host.options, shareSocket(index), served)],
    );
    const child = startBoundProcess(argv, directory, { ...this.#options, inherited: [] });
    this.#children.push(child);
    const words = new LastWords(child);
    for (let waited = 0; !existsSync(socket); waited += LOOK_EVERY_MS) {
      if (words.isOver) throw failure(words.text);
      if (waited > LISTENS_WITHIN_MS) throw failure('virtiofsd does not listen');
      await delay(LOOK_EVERY_MS);
    }
    // It ends with QEMU, too, and we may hear of that first.
    child.once('close', () => {
      if (!this.#isOver) this.#telling.push(setTimeout(() => events.onShareEnded?.(share.tag), QEMU_ENDS_WITHIN_MS));
    });
  }

  /** Ends those that QEMU's end has not ended. */
  async end(): Promise<void> {
    this.#isOver = true;
    for (const telling of this.#telling) clearTimeout(telling);
    for (const child of this.#children) child.kill('SIGKILL');
    for (const index of this.#machine.shares.keys()) {
      const socket = `${this.#machine.directory}/${shareSocket(index)}`;
      // The one in Rust writes its number beside the socket.
      for (const file of [socket, `${socket}.pid`]) await removeEntry(file);
    }
  }
}

/** The end of what a process says, and whether it has ended. */
class LastWords {
  text = '';
  isOver = false;

  constructor(child: ChildProcess) {
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.text = (this.text + text).slice(-MAX_WORDS);
    });
    for (const event of ['close', 'error'] as const) child.once(event, () => (this.isOver = true));
  }
}

function failure(words: string): TartletError {
  const reason = words.trim().split('\n').at(-1) ?? '';
  return new TartletError('GUEST_FAILED', reason === '' ? 'virtiofsd ended without a word' : reason, {
    next: { kind: 'allow-namespaces' },
  });
}

/** It is in a place of its own already, and need only be told where that is. */
function serverOptions(options: ShareHost['options'], socket: string, served: string): string[] {
  switch (options) {
    case 'c': {
      const source = served.replaceAll(/[\\,]/g, String.raw`\$&`);
      return [
        '-f',
        `--socket-path=${socket}`,
        '-o',
        `source=${source},sandbox=chroot,announce_submounts,log_level=warn`,
      ];
    }
    case 'rust':
      // Any other of its own takes root, or the user 0 of a namespace, as which all files would be root's in the guest.
      return [`--socket-path=${socket}`, '--shared-dir', served, '--sandbox=none', '--log-level=warn'];
  }
}
