import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { describeError, TartletError } from '../../errors.ts';
import { Qmp, type QmpEvent } from './qmp.ts';

/** So much of what QEMU says on stderr is kept, in characters: its last words. */
const MAX_WORDS = 4096;

/** How long QEMU may take until it listens, in milliseconds: 84 ms is normal, a loaded machine takes seconds. */
const LISTENS_WITHIN_MS = 30_000;
const LOOK_EVERY_MS = 20;

/** How the process ended. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A QEMU that was started, and the conversation with it. */
export class QemuProcess {
  readonly child: ChildProcess;
  /** Resolves when the process has gone. */
  readonly ended: Promise<ProcessEnd>;
  #words = '';

  private constructor(child: ChildProcess) {
    this.child = child;
    child.stderr?.setEncoding('utf8');
    child.stderr?.on('data', (text: string) => {
      this.#words = (this.#words + text).slice(-MAX_WORDS);
    });
    this.ended = new Promise((resolve) => {
      child.once('close', (code, signal) => resolve({ code, signal }));
      child.once('error', () => resolve({ code: null, signal: null }));
    });
  }

  /**
   * @param argv the program and its arguments.
   * @param inherited descriptors that the process keeps open as long as it lives: locks, above all.
   */
  static start(argv: readonly [string, ...string[]], directory: string, inherited: readonly number[]): QemuProcess {
    const [program, ...rest] = argv;
    const child = spawn(program, rest, {
      cwd: directory,
      // Nothing of it may keep our own streams open: a driver that reads them would wait for QEMU (run-fleet-demand §8, 5).
      stdio: ['ignore', 'ignore', 'pipe', ...inherited],
      detached: true,
    });
    return new QemuProcess(child);
  }

  /** What it said in the end, in one line; empty when it said nothing. */
  get lastWords(): string {
    const lines = this.#words.trim().split('\n');
    return (lines.at(-1) ?? '').replace(/^\S*qemu-system-\S+: /, '');
  }

  /** @throws TartletError `GUEST_FAILED` when it ends before it listens, or does not listen in time. */
  async converse(socket: string, onEvent: (event: QmpEvent) => void): Promise<Qmp> {
    let over: ProcessEnd | undefined;
    void this.ended.then((end) => (over = end));
    for (let waited = 0; waited < LISTENS_WITHIN_MS; waited += LOOK_EVERY_MS) {
      if (over !== undefined) throw this.failure();
      try {
        return await Qmp.connect(socket, onEvent);
      } catch (error) {
        if (!(error instanceof TartletError)) throw error;
      }
      await delay(LOOK_EVERY_MS);
    }
    this.kill();
    throw new TartletError('GUEST_FAILED', 'QEMU was started, and does not listen', { cause: this.lastWords });
  }

  /** Why it does not run. */
  failure(): TartletError {
    const words = this.lastWords;
    return new TartletError('GUEST_FAILED', `QEMU ended${words === '' ? ' without a word' : `: ${words}`}`);
  }

  kill(): void {
    try {
      this.child.kill('SIGKILL');
    } catch (error) {
      throw new TartletError('INTERNAL', `cannot end QEMU: ${describeError(error)}`, { cause: error });
    }
  }
}
