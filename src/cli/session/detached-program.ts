import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { describeError, TartletError } from '../../errors.ts';
import { onDisk } from '../../fs/disk-error.ts';
import { createFile, moveEntry } from '../../fs/entry.ts';
import { removeEntry } from '../../fs/remove.ts';
import { modeIn } from '../../fs/sharing.ts';
import { readSmallFile } from '../../fs/small-file.ts';
import { RUN_LOG } from '../../home/home-entry.ts';
import { exitCodeOfSignal } from './attached-program.ts';

/** What a `run` that was started by another command sends to it when its machine runs. */
export const STARTED = 'started';

/** The program to start. */
export interface DetachedCommand {
  readonly file: string;
  readonly argv: readonly string[];
  readonly name: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Of the VM: there its output goes. */
  readonly directory: string;
}

/** For this user alone: passwords of VNC are in it. */
const LOG_MODE = 0o600;

/**
 * A program that lives on when we have ended: in a session of its own, so that no terminal that goes away ends it, and
 * with nothing of ours open. What it says is in {@link RUN_LOG} in the VM's directory.
 */
export class DetachedProgram {
  readonly #child: ChildProcess;
  readonly #log: string;
  /** Resolves when it sends {@link STARTED}. */
  readonly started: Promise<void>;
  /** Its exit code, as a shell says it. Rejects when it cannot be started. */
  readonly ended: Promise<number>;

  private constructor(child: ChildProcess, log: string) {
    this.#child = child;
    this.#log = log;
    this.started = new Promise((resolve) => {
      child.on('message', (message) => {
        if (message === STARTED) resolve();
      });
    });
    this.ended = new Promise((resolve, reject) => {
      child.once('error', (cause) =>
        reject(new TartletError('NOT_FOUND', `cannot start ${child.spawnfile}: ${describeError(cause)}`, { cause })),
      );
      child.once('exit', (code, signal) => resolve(code ?? exitCodeOfSignal(signal)));
    });
  }

  /** @throws TartletError `DISK_*` */
  static async start({ file, argv, name, environment, directory }: DetachedCommand): Promise<DetachedProgram> {
    // The log of another `run`, which may be faster, stays as it is.
    const log = `${directory}/${RUN_LOG}.${randomUUID()}`;
    const handle = await onDisk('write', log, async () => createFile(log, 'refuse', await modeIn(directory, LOG_MODE)));
    try {
      const child = spawn(file, argv, {
        argv0: name,
        detached: true,
        stdio: ['ignore', handle.fd, handle.fd, 'ipc'],
        env: environment,
      });
      return new DetachedProgram(child, log);
    } finally {
      await handle.close();
    }
  }

  /** Gives its log the name that it keeps. */
  async keepLog(directory: string): Promise<void> {
    const file = `${directory}/${RUN_LOG}`;
    await onDisk('write', file, async () => moveEntry(this.#log, file));
  }

  /** What it said before it ended, which it never got as far as keeping. */
  async takeLog(): Promise<string> {
    const bytes = await readSmallFile(this.#log);
    await removeEntry(this.#log);
    return bytes.toString('utf8');
  }

  /** Waits for it no more: we may end. */
  release(): void {
    if (this.#child.connected) this.#child.disconnect();
    this.#child.unref();
  }
}

/** Between two looks at a program that says nothing itself, in milliseconds. */
const LOOK_EVERY_MS = 100;

/** Resolves when something becomes true. Rejects with the signal. */
export async function untilTrue(isTrue: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
  while (!(await isTrue())) await delay(LOOK_EVERY_MS, undefined, { signal });
}
