import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { describeError, TartletError } from '../../errors.ts';
import { failureOf, type ProcessEnd } from './failure.ts';
import { Qmp, type QmpEvent } from './qmp.ts';

/** So much of what QEMU says on stderr is kept, in characters: its last words. */
const MAX_WORDS = 4096;

/** How long QEMU may take until it listens, in milliseconds: 84 ms is normal, a loaded machine takes seconds. */
const LISTENS_WITHIN_MS = 30_000;
const LOOK_EVERY_MS = 20;

/** So many lines of it are told: a helper of QEMU says the reason before QEMU says what came of it. */
const MAX_LINES = 3;

/** What lets a program die with its parent, by util-linux. */
export const DIE_WITH_US = ['--pdeathsig', 'KILL', '--'] as const;

/**
 * Becomes QEMU, unless the parent was killed before it was agreed to die with it. Sockets that QEMU makes are for this user alone, also in a home
 * that a group shares: over its monitor it can be told to read and write any file of this user.
 */
const BEGIN = 'umask 077; [ "$PPID" = "$0" ] || exit 1; exec "$@"';

/** Ends a process when nothing holds the other end of its input any more. */
const WATCH = 'read -r line; kill -KILL "$0"';

interface ProcessOptions {
  /** Descriptors that the process keeps open as long as it lives: locks, above all. */
  readonly inherited: readonly number[];
  /** The program that takes {@link DIE_WITH_US}; where there is none, a shell watches whether we live. */
  readonly dieWithUs: string | undefined;
  /** The number of this process. */
  readonly ourPid: number;
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
      child.once('error', (error) => {
        this.#words += describeError(error);
        resolve({ code: null, signal: null });
      });
    });
  }

  /**
   * @param argv the program and its arguments.
   * @param directory in which it works.
   */
  static start(
    argv: readonly string[],
    directory: string,
    { inherited, dieWithUs, ourPid }: ProcessOptions,
  ): QemuProcess {
    const script = ['/bin/sh', '-c', BEGIN, String(ourPid)];
    const [program = '', ...rest] = [
      ...(dieWithUs === undefined ? [] : [dieWithUs, ...DIE_WITH_US]),
      ...script,
      ...argv,
    ];
    const child = spawn(program, rest, {
      cwd: directory,
      // Nothing of it may keep our own streams open: a driver that reads them would wait for QEMU (run-fleet-demand §8, 5).
      stdio: ['ignore', 'ignore', 'pipe', ...inherited],
      detached: true,
    });
    if (dieWithUs === undefined && child.pid !== undefined) endWithUs(child, child.pid);
    return new QemuProcess(child);
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

/** However we end, the shell's input does, and it ends the process. */
function endWithUs(child: ChildProcess, pid: number): void {
  const watcher = spawn('/bin/sh', ['-c', WATCH, String(pid)], {
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  watcher.on('error', () => undefined);
  watcher.stdin.on('error', () => undefined);
  // Before its number can name another process.
  child.once('exit', () => watcher.kill('SIGKILL'));
}
