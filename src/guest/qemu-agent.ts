import { randomInt } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { TartletError } from '../errors.ts';
import { fieldOf, isJsonObject, textOf } from '../json/foreign.ts';
import { Mutex } from './mutex.ts';
import { DELIMITER, type QemuAnswer, QemuAnswers } from './qemu-answers.ts';

/*
 * QEMU's guest agent (`qemu-ga` in the guest): one JSON object a line over a port of the machine
 * (docs/interop/qemu-ga.rst of QEMU). It runs commands, but has no terminal for them, and tells what they wrote only
 * when they have ended.
 */

/** Between two looks at a command that runs, in milliseconds: they grow from the first to the second. */
const FIRST_LOOK_MS = 20;
const LAST_LOOK_MS = 250;

/**
 * How long an agent that is there may be silent over input and output of a command, in milliseconds: it takes in, and
 * puts together, up to 44 MB as one answer, in guests that are emulated as well.
 */
const WORKS_WITHIN_MS = 60_000;

/** How often it is tried to go on with a conversation that others may be having meanwhile. */
const OPEN_TRIES = 5;

/** How a command in the guest ended. */
export interface GuestExit {
  /** 128 and the signal's number, as a shell says it, for a command that was ended by a signal. */
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  /** The agent keeps 16 MiB of each. */
  readonly isCutOff: boolean;
}

/** A conversation with the agent in a guest. */
export class QemuAgent {
  readonly #path: string;
  readonly #withinMs: number;
  readonly #mutex: Mutex;
  #socket: Socket | undefined;
  readonly #answers = new QemuAnswers();
  #wake: () => void = () => undefined;
  #deadline: NodeJS.Timeout | undefined;

  private constructor(path: string, withinMs: number, mutex: Mutex) {
    this.#path = path;
    this.#mutex = mutex;
    this.#withinMs = withinMs;
  }

  /**
   * @param path of the socket.
   * @param withinMs how long an answer may take, in milliseconds.
   * @param mutex of all that this process talks about to this agent: QEMU lets one talk at a time.
   * @throws TartletError `GUEST_UNREACHABLE` when no agent answers.
   */
  static async connect(path: string, withinMs: number, mutex = new Mutex()): Promise<QemuAgent> {
    const agent = new QemuAgent(path, withinMs, mutex);
    await agent.#open();
    return agent;
  }

  async #open(): Promise<void> {
    const endTurn = await this.#mutex.take();
    const socket = connect({ path: this.#path });
    socket.once('close', endTurn);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', (cause) => reject(silent(cause)));
    });
    this.#socket = socket;
    this.#answers.clear();
    socket.on('data', (piece: Buffer) => {
      if (this.#socket === socket) this.#take(piece);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.#wake();
    });
    try {
      await this.#synchronise();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** QEMU lets one talk to the agent at a time: while a command runs for long, others get their turn. */
  async #leaveToOthers(forMs: number): Promise<void> {
    this.close();
    await delay(forMs);
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#open();
      } catch (error) {
        if (tries === OPEN_TRIES) throw error;
      }
    }
  }

  /**
   * An earlier conversation may have ended in the middle: what it left unread comes first, and then a complaint about
   * the delimiter. All of it is passed over, until our own number comes back (docs/interop/qemu-ga.rst,
   * guest-sync-delimited).
   */
  async #synchronise(): Promise<void> {
    const id = randomInt(2 ** 31);
    this.#socket?.write(Buffer.from([DELIMITER]));
    this.#send({ execute: 'guest-sync-delimited', arguments: { id } });
    for (;;) {
      const message = await this.#next();
      if (message.kind === 'return' && message.value === id) return;
    }
  }

  /**
   * Runs a program, and waits for its end. `path` is looked for in the guest's PATH.
   * @param signal ends the program, as far as that can be done, and throws its reason.
   */
  async exec(
    path: string,
    args: readonly string[],
    input: Uint8Array | undefined,
    signal?: AbortSignal,
  ): Promise<GuestExit> {
    const started = await this.execute(
      'guest-exec',
      {
        path,
        arg: args,
        'capture-output': true,
        ...(input === undefined ? {} : { 'input-data': Buffer.from(input).toString('base64') }),
      },
      WORKS_WITHIN_MS,
    );
    const pid = isJsonObject(started) ? started['pid'] : undefined;
    for (let pause = FIRST_LOOK_MS; ; pause = Math.min(pause * 2, LAST_LOOK_MS)) {
      if (signal?.aborted === true) {
        await this.execute('guest-exec', { path: 'kill', arg: ['-TERM', String(pid)] });
        signal.throwIfAborted();
      }
      const status = await this.execute('guest-exec-status', { pid }, WORKS_WITHIN_MS);
      if (isJsonObject(status) && status['exited'] === true) return exitOf(status);
      await (pause < LAST_LOOK_MS ? delay(pause) : this.#leaveToOthers(pause));
    }
  }

  /** IPv4 addresses of the guest's cards, without loopback. @param mac of the one card that is meant, in lower case. */
  async addresses(mac?: string): Promise<string[]> {
    const answer = await this.execute('guest-network-get-interfaces');
    const cards: readonly unknown[] = Array.isArray(answer) ? answer : [];
    return cards.flatMap((card) => {
      if (mac !== undefined && textOf(card, 'hardware-address')?.toLowerCase() !== mac) return [];
      const list = fieldOf(card, 'ip-addresses');
      const addresses: readonly unknown[] = Array.isArray(list) ? list : [];
      return addresses.flatMap((one) =>
        isJsonObject(one) && one['ip-address-type'] === 'ipv4' && !String(one['ip-address']).startsWith('127.')
          ? [String(one['ip-address'])]
          : [],
      );
    });
  }

  /** Sets the guest's clock to the host's, e.g. after it stood still. */
  async setTime(now: number): Promise<void> {
    await this.execute('guest-set-time', { time: now * 1_000_000 });
  }

  /** @throws TartletError `GUEST_UNREACHABLE` when it refuses, or does not answer. */
  async execute(
    command: string,
    parameters?: Readonly<Record<string, unknown>>,
    withinMs = this.#withinMs,
  ): Promise<unknown> {
    this.#send({ execute: command, arguments: parameters });
    const message = await this.#next(withinMs);
    if (message.kind === 'error') throw refused(message.reason);
    return message.value;
  }

  #send(request: object): void {
    this.#socket?.write(`${JSON.stringify(request)}\n`);
  }

  async #next(withinMs = this.#withinMs): Promise<QemuAnswer> {
    // Of silence: a long answer takes as long as it takes.
    const deadline = setTimeout(() => this.#socket?.destroy(), withinMs);
    this.#deadline = deadline;
    try {
      for (;;) {
        const message = this.#answers.next();
        if (message !== undefined) return message;
        if (this.#socket === undefined) throw silent();
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      clearTimeout(deadline);
    }
  }

  #take(piece: Buffer): void {
    if (!this.#answers.take(piece)) this.close();
    this.#deadline?.refresh();
    this.#wake();
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }
}

/** No agent answers. */
class Silence extends TartletError {}

/** Whether this says that no agent answers, and not that one refused. */
export function isSilence(error: unknown): error is TartletError {
  return error instanceof Silence;
}

function silent(cause?: unknown): Silence {
  return new Silence('GUEST_UNREACHABLE', 'no agent answers in the guest', { cause });
}

function refused(reason: string): TartletError {
  return new TartletError('GUEST_UNREACHABLE', `the guest's agent refuses: ${reason}`);
}

function exitOf(status: Readonly<Record<string, unknown>>): GuestExit {
  const { exitcode, signal, 'out-data': out, 'err-data': err } = status;
  return {
    exitCode: typeof exitcode === 'number' ? exitcode : 128 + Number(signal ?? 0),
    stdout: bytesOf(out),
    stderr: bytesOf(err),
    isCutOff: status['out-truncated'] === true || status['err-truncated'] === true,
  };
}

function bytesOf(value: unknown): Buffer {
  return typeof value === 'string' ? Buffer.from(value, 'base64') : Buffer.alloc(0);
}
