import { connect, type Socket } from 'node:net';
import { StringDecoder } from 'node:string_decoder';
import { describeError, TartletError } from '../../errors.ts';
import { isJsonObject } from '../../json/foreign.ts';

/** Something that QEMU tells without being asked (`docs/interop/qmp-spec.txt` of QEMU). */
export interface QmpEvent {
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
}

interface Waiter {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** More in one line is no answer of QEMU, in characters. */
const MAX_LINE = 8 * 1024 * 1024;

/** A conversation with a running QEMU. */
export class Qmp {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiter>();
  readonly #onEvent: (event: QmpEvent) => void;
  #next = 1;
  #text = '';
  #closed: TartletError | undefined;

  private constructor(socket: Socket, onEvent: (event: QmpEvent) => void) {
    this.#socket = socket;
    this.#onEvent = onEvent;
    const decoder = new StringDecoder('utf8');
    socket.on('data', (piece: Buffer) => this.#take(decoder.write(piece)));
    socket.on('error', () => undefined); // `close` follows.
    socket.on('close', () => this.#close());
    socket.on('timeout', () => {
      this.#closed = new TartletError('GUEST_UNREACHABLE', 'QEMU does not answer', { retryable: true });
      socket.destroy();
    });
  }

  /**
   * @param path of the socket.
   * @param silentMs how long QEMU may say nothing, in milliseconds. Default: for ever.
   * @throws TartletError `GUEST_UNREACHABLE` when nothing answers there.
   */
  static async connect(path: string, onEvent: (event: QmpEvent) => void, silentMs = 0): Promise<Qmp> {
    const socket = connect({ path });
    socket.setTimeout(silentMs);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', (cause) => {
        reject(new TartletError('GUEST_UNREACHABLE', `QEMU does not answer: ${describeError(cause)}`, { cause }));
      });
    });
    const qmp = new Qmp(socket, onEvent);
    await qmp.execute('qmp_capabilities');
    return qmp;
  }

  /**
   * @returns what the command returns.
   * @throws TartletError `GUEST_UNREACHABLE` when QEMU refuses, or has gone.
   */
  async execute(command: string, parameters?: Readonly<Record<string, unknown>>): Promise<unknown> {
    if (this.#closed !== undefined) throw this.#closed;
    const id = this.#next++;
    const answer = new Promise<unknown>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: parameters, id })}\n`);
    return answer;
  }

  /** Whether nothing is heard any more, as a rule because QEMU has ended. */
  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  /** Ends the conversation; the machine goes on. */
  close(): void {
    this.#socket.destroy();
  }

  #take(text: string): void {
    this.#text += text;
    if (this.#text.length > MAX_LINE) {
      this.#socket.destroy();
      return;
    }
    const lines = this.#text.split('\n');
    this.#text = lines.pop() ?? '';
    for (const line of lines) this.#takeLine(line);
  }

  #takeLine(line: string): void {
    const message = parse(line);
    if (message === undefined) return;
    if (typeof message['event'] === 'string') {
      const data = message['data'];
      this.#onEvent({ name: message['event'], data: isJsonObject(data) ? data : {} });
      return;
    }
    const waiter = typeof message['id'] === 'number' ? this.#waiting.get(message['id']) : undefined;
    if (waiter === undefined) return; // The greeting.
    this.#waiting.delete(Number(message['id']));
    const { error } = message;
    if (!isJsonObject(error)) waiter.resolve(message['return']);
    else waiter.reject(new TartletError('GUEST_UNREACHABLE', `QEMU refuses: ${String(error['desc'])}`));
  }

  #close(): void {
    this.#closed ??= new TartletError('GUEST_UNREACHABLE', 'QEMU has ended');
    for (const { reject } of this.#waiting.values()) reject(this.#closed);
    this.#waiting.clear();
  }
}

function parse(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
