/*
 * Where paths through descriptors lead: `/proc/self/fd/19/disk.img` in a log of `strace -f -y`. What is removed is
 * removed by way of the opened directory above it (reliability S61), so that a checker that does not follow these paths
 * sees no removal at all.
 */

/** Calls that the checker needs besides those that it checks. */
export const DESCRIPTOR_CALLS = 'openat,clone,clone3,fork,vfork';

const BELOW_DESCRIPTOR = /^\/proc\/self\/fd\/(\d+)(\/.*)?$/;
/** Of a call that ended in a line of its own, spaces fill the place of its parameters. */
const OPENED = /\bopenat\(.*\) += (\d+)<([^>]*)>/;
const STARTED = /\b(?:clone3?|v?fork)\(.* = (\d+)$/;

/** The open files of all processes of a log, as far as it has been read. */
export class Descriptors {
  /** Of each thread the process that it belongs to: all threads of one have the same open files. */
  readonly #processes = new Map<string, string>();
  /** `process descriptor`, and the path that was opened. */
  readonly #opened = new Map<string, string>();

  /**
   * Threads of the log are told apart from processes first: the first calls of either may come before the end of the
   * call that started it.
   */
  constructor(calls: Iterable<{ readonly thread: string; readonly text: string }>) {
    for (const { thread, text } of calls) {
      const started = STARTED.exec(text)?.[1];
      if (started === undefined) continue;
      this.#processes.set(started, text.includes('CLONE_THREAD') ? this.#processOf(thread) : started);
    }
  }

  /** Reads a call that has ended well. */
  read(thread: string, text: string): void {
    const [, descriptor, path] = OPENED.exec(text) ?? [];
    if (descriptor === undefined || path === undefined) return;
    this.#opened.set(`${this.#processOf(thread)} ${descriptor}`, path);
  }

  /**
   * @returns the path itself when it leads through no descriptor.
   * @throws Error when nothing in the log opened the descriptor: a checker that passes over it is blind.
   */
  resolve(thread: string, path: string): string {
    const [, descriptor, rest = ''] = BELOW_DESCRIPTOR.exec(path) ?? [];
    if (descriptor === undefined) return path;
    const opened = this.#opened.get(`${this.#processOf(thread)} ${descriptor}`);
    if (opened === undefined) throw new Error(`nothing in the log opened the descriptor of ${path}`);
    return opened + rest;
  }

  #processOf(thread: string): string {
    return this.#processes.get(thread) ?? thread;
  }
}
