import type { ChildProcess } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { describeError, TartletError } from '../../errors.ts';
import { failureOf, type ProcessEnd } from './failure.ts';
import { type BoundProcessOptions, startBoundProcess } from './bound-process.ts';
import { Qmp, type QmpEvent } from './qmp.ts';

/** So much of what QEMU says on stderr is kept, in characters: its last words. */
const MAX_WORDS = 4096;

/** How long QEMU may take until it listens, in milliseconds: 84 ms is normal, a loaded machine takes seconds. */
const LISTENS_WITHIN_MS = 30_000;
const LOOK_EVERY_MS = 20;

/** So many lines of it are told: a helper of QEMU says the reason before QEMU says what came of it. */
const MAX_LINES = 3;

interface QemuProcessOptions extends BoundProcessOptions {
  /** Done before it counts as ended. Never fails. */
  readonly afterEnd?: () => Promise<void>;
}

/** A QEMU that was started, and the conversation with it. */
export class QemuProcess {
  readonly child: ChildProcess;
  /** Resolves when the process has gone. */
  readonly ended: Promise<ProcessEnd>;
  #words = '';

  private constructor(child: ChildProcess, afterEnd: () => Promise<void> = async () => undefined) {
    this.child = child;
    child.stderr?.setEncoding('utf8');
    child.stderr?.on('data', (text: string) => {
      this.#words = (this.#words + text).slice(-MAX_WORDS);
    });
    const ended = new Promise<ProcessEnd>((resolve) => {
      child.once('close', (code, signal) => resolve({ code, signal }));
      child.once('error', (error) => {
        this.#words += describeError(error);
        resolve({ code: null, signal: null });
      });
    });
    this.ended = this.#over(ended, afterEnd);
  }

  /**
   * @param argv the program and its arguments.
   * @param directory in which it works.
   */
  static start(argv: readonly string[], directory: string, options: QemuProcessOptions): QemuProcess {
    return new QemuProcess(startBoundProcess(argv, directory, options), options.afterEnd);
  }

  async #over(ended: Promise<ProcessEnd>, afterEnd: () => Promise<void>): Promise<ProcessEnd> {
    const end = await ended;
    await afterEnd();
    return end;
  }

  /** What it said in the end, in one line; empty when it said nothing. What it only warned of is left out. */
  get lastWords(): string {
    return this.#words
      .split('\n')
      .filter((line) => line.trim() !== '' && !line.includes('warning: '))
      .slice(-MAX_LINES)
      .map((line) => line.replace(/^\S*qemu-system-\S+: /, '').replace(/^-\w+ .*?: /, ''))
      .join('; ');
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
    this.kill('SIGKILL');
    throw new TartletError('GUEST_FAILED', 'QEMU was started, and does not listen', { cause: this.lastWords });
  }

  /** Why it does not run. */
  failure(): TartletError {
    return failureOf(this.lastWords);
  }

  /** @param signal by SIGTERM it closes its disks first. */
  kill(signal: 'SIGKILL' | 'SIGTERM'): void {
    try {
      this.child.kill(signal);
    } catch (error) {
      throw new TartletError('INTERNAL', `cannot end QEMU: ${describeError(error)}`, { cause: error });
    }
  }
}
