import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import type { Cleanup } from './real-cleanup.ts';

/** How long anything real may take to become ready, or to end when told, in milliseconds. */
const PATIENCE_MS = 15_000;
/** Between two looks at a condition, in milliseconds. */
const LOOK_MS = 5;

/** A server of somebody else, running until its cleanup. */
export class RealProcess {
  readonly #child: ChildProcess;
  readonly #command: string;
  /** Everything it said on both streams. */
  output = '';

  private constructor(child: ChildProcess, command: string) {
    this.#child = child;
    this.#command = command;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    }
  }

  /**
   * Starts it and waits until `ready` says so.
   * @throws Error with its output when it ends before that.
   */
  static async start(
    cleanup: Cleanup,
    command: string,
    args: readonly string[],
    ready: (process: RealProcess) => boolean | Promise<boolean>,
  ): Promise<RealProcess> {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const process = new RealProcess(child, command);
    const failed = new Promise<never>((_resolve, reject) => child.once('error', reject));
    failed.catch(() => {});
    cleanup.add(async () => process.stop());
    await Promise.race([
      failed,
      eventually(`${command} is ready`, async () => {
        if (child.exitCode !== null) throw new Error(`${command} ended with ${child.exitCode}:\n${process.output}`);
        return ready(process);
      }),
    ]);
    return process;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const force = globalThis.setTimeout(() => this.#child.kill('SIGKILL'), PATIENCE_MS);
    await ended;
    clearTimeout(force);
    if (this.#child.signalCode === 'SIGKILL') throw new Error(`${this.#command} had to be killed`);
  }
}

/** Waits for a condition, not for a time. */
export async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`never happened: ${what}`);
    await setTimeout(LOOK_MS);
  }
}

/** A port that is free right now, for programs that cannot choose one themselves. */
export async function freePort(address: string): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, address, resolve);
  });
  const bound = server.address();
  await new Promise((resolve) => {
    server.close(resolve);
  });
  if (bound === null || typeof bound === 'string') throw new Error(`no port on ${address}`);
  return bound.port;
}
