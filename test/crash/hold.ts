import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { eventually } from '../support/real-process.ts';
import { type Fault, faultOptions, HANGS_AFTER_MS, type Invocation, tracedEnvironment } from './strace.ts';

/** How a held command ended. */
interface HeldEnd {
  readonly exitCode: number | undefined;
  readonly stderr: string;
}

/** A command that stands still when one of its calls has returned, with everything that it has locked. */
export class Held {
  readonly #strace: ChildProcess;
  readonly #command: number;
  readonly #ended: Promise<HeldEnd>;

  private constructor(strace: ChildProcess, command: number, ended: Promise<HeldEnd>) {
    this.#strace = strace;
    this.#command = command;
    this.#ended = ended;
  }

  /**
   * Starts a command and waits until it stands still.
   * @returns its end when it ended before the call: then there is no such point.
   */
  static async start(invocation: Invocation, fault: Omit<Fault, 'effect'>, log: string): Promise<Held | HeldEnd> {
    rmSync(log, { force: true });
    const options = faultOptions({ ...fault, effect: 'SIGSTOP' });
    const strace = spawn('strace', ['-f', '-o', log, ...options, ...invocation.argv], {
      env: tracedEnvironment(invocation.environment),
      stdio: ['pipe', 'ignore', 'pipe'],
      timeout: HANGS_AFTER_MS,
      killSignal: 'SIGKILL',
    });
    strace.stdin.end(invocation.input);
    let stderr = '';
    strace.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const ended = once(strace, 'close').then(([code]) => ({ exitCode: (code as number | null) ?? undefined, stderr }));
    let command: number | undefined;
    await eventually(`${invocation.argv.join(' ')} stands still`, () => {
      command = stoppedThread(log);
      return strace.exitCode !== null || strace.signalCode !== null || command !== undefined;
    });
    if (command === undefined) return ended;
    return new Held(strace, command, ended);
  }

  /** Lets it go on to its end. Each of its threads counts by itself, so that it may stop again. */
  async release(): Promise<HeldEnd> {
    await eventually('the held command ends', () => {
      const isOver = this.#strace.exitCode !== null || this.#strace.signalCode !== null;
      if (!isOver) this.#signal('SIGCONT');
      return isOver;
    });
    return this.#ended;
  }

  #signal(signal: NodeJS.Signals): void {
    try {
      process.kill(this.#command, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // It has just ended.
    }
  }

  /** Ends it where it stands. */
  async kill(): Promise<void> {
    this.#signal('SIGKILL');
    this.#strace.kill('SIGKILL');
    await this.#ended;
  }
}

/**
 * A thread of the command that stands still: strace says so when the signal has taken effect. Signals to a thread reach
 * the process.
 */
function stoppedThread(log: string): number | undefined {
  const said = existsSync(log) ? /^(\d+) +--- stopped by SIGSTOP ---/m.exec(readFileSync(log, 'utf8')) : null;
  return said === null ? undefined : Number(said[1]);
}
