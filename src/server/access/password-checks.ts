import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

/** What the worker is asked; it answers `true` or `false`. */
export interface PasswordQuestion {
  readonly password: string;
  /** Of bcrypt. */
  readonly hash: string;
}

interface Waiting extends PasswordQuestion {
  readonly resolve: (equal: boolean) => void;
  readonly reject: (error: unknown) => void;
}

/** Checks that may wait, of all clients together. */
const MAX_WAITING = 100;

/**
 * Compares passwords with hashes of bcrypt, in a thread of its own and one at a time, so that guessing takes one
 * processor at most and no other request waits for it. Clients take turns: a client with many checks waits for its own
 * only (issue 14, item 5).
 */
export class PasswordChecks {
  /** By client, the next one first. */
  readonly #waiting = new Map<string, Waiting[]>();
  #count = 0;
  #worker: Worker | undefined;
  #current: Waiting | undefined;

  /**
   * @param client whose turn it takes.
   * @returns undefined when too many are waiting already.
   */
  async matches(client: string, question: PasswordQuestion): Promise<boolean | undefined> {
    if (this.#count >= MAX_WAITING) return undefined;
    return new Promise((resolve, reject) => {
      const own = this.#waiting.get(client) ?? [];
      own.push({ ...question, resolve, reject });
      this.#waiting.set(client, own);
      this.#count += 1;
      this.#next();
    });
  }

  /** Ends the thread; checks that still wait fail. The next check starts another one. */
  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
    const all = [this.#current, ...[...this.#waiting.values()].flat()];
    this.#waiting.clear();
    this.#current = undefined;
    this.#count = 0;
    for (const each of all) each?.reject(new Error('the registry was closed'));
  }

  #next(): void {
    const [first] = this.#waiting;
    if (this.#current !== undefined || first === undefined) return;
    const [client, own] = first;
    const question = own.shift();
    // To the end of the line, behind every other client.
    this.#waiting.delete(client);
    if (own.length > 0) this.#waiting.set(client, own);
    if (question === undefined) return;
    this.#count -= 1;
    this.#current = question;
    this.#worker ??= this.#start();
    this.#worker.postMessage({ password: question.password, hash: question.hash } satisfies PasswordQuestion);
  }

  #start(): Worker {
    const worker = new Worker(workerFile());
    worker.unref();
    const settle = (tell: (current: Waiting) => void): void => {
      const current = this.#current;
      this.#current = undefined;
      if (current !== undefined) tell(current);
      this.#next();
    };
    worker.on('message', (equal: unknown) => settle(({ resolve }) => resolve(equal === true)));
    worker.on('error', (error) => {
      if (this.#worker === worker) this.#worker = undefined;
      settle(({ reject }) => reject(error));
    });
    return worker;
  }
}

/**
 * The built worker. From the sources, i.e. in tests, it is the one in `dist`, because Node 20 cannot run TypeScript.
 */
function workerFile(): URL {
  const beside = new URL('./password-worker.js', import.meta.url);
  return existsSync(fileURLToPath(beside))
    ? beside
    : new URL('../../../dist/server/access/password-worker.js', import.meta.url);
}
