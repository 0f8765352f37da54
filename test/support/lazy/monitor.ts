import { connect, type Socket } from 'node:net';

/** What QEMU tells of a machine, to those who listen beside `run`. */
export type Told = { readonly kind: 'job'; readonly status: string } | { readonly kind: 'stop' | 'resume' };

interface Message {
  readonly event?: string;
  readonly data?: { readonly status?: string };
  readonly id?: number;
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
}

/** A conversation with QEMU beside that of `run` (`docs/interop/qmp-spec.txt` of QEMU). */
export class Monitor {
  readonly #socket: Socket;
  readonly #onTold: (told: Told) => void;
  readonly #answers = new Map<number, (message: Message) => void>();
  #next = 1;

  private constructor(socket: Socket, onTold: (told: Told) => void) {
    this.#socket = socket;
    this.#onTold = onTold;
    let text = '';
    socket.on('error', () => undefined);
    socket.setEncoding('utf8').on('data', (piece: string) => {
      const lines = (text + piece).split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) this.#take(JSON.parse(line) as Message);
    });
    socket.write('{"execute":"qmp_capabilities"}\n');
  }

  /** @returns undefined where no one listens. */
  static async connect(path: string, onTold: (told: Told) => void): Promise<Monitor | undefined> {
    const socket = connect({ path });
    return new Promise((resolve) => {
      socket.once('connect', () => resolve(new Monitor(socket, onTold)));
      socket.once('error', () => resolve(undefined));
    });
  }

  async ask(command: string, parameters: object = {}): Promise<unknown> {
    const id = this.#next++;
    const answer = new Promise<Message>((resolve) => this.#answers.set(id, resolve));
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: parameters, id })}\n`);
    const { error, return: returned } = await answer;
    if (error !== undefined) throw new Error(`QEMU refuses ${command}: ${error.desc}`);
    return returned;
  }

  close(): void {
    this.#socket.destroy();
  }

  #take({ event, data, id, ...message }: Message): void {
    if (id !== undefined) this.#answers.get(id)?.(message);
    if (event === 'JOB_STATUS_CHANGE') this.#onTold({ kind: 'job', status: data?.status ?? '' });
    if (event === 'STOP') this.#onTold({ kind: 'stop' });
    if (event === 'RESUME') this.#onTold({ kind: 'resume' });
  }
}
