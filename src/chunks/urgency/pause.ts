import { unreachable } from '../../errors.ts';

/** `ending`: over, unless another one begins at once. */
export type PauseState = 'on' | 'ending' | 'off';

/**
 * What is urgent comes in bursts. To stop and to begin costs more than to wait so long for the next of them, in
 * milliseconds.
 */
const QUIET_MS = 150;

/** Any time will do. */
const KEEPS_ALIVE_MS = 60_000;

/** Lets a job stand still between two pieces of what it fetches, and go on. */
export class Pause {
  #end: (() => void) | undefined;
  #over: Promise<void> | undefined;
  #ending: NodeJS.Timeout | undefined;

  /** Whether what runs should stop. */
  get isOn(): boolean {
    return this.#over !== undefined && this.#ending === undefined;
  }

  set(state: PauseState): void {
    clearTimeout(this.#ending);
    this.#ending = undefined;
    switch (state) {
      case 'on':
        this.#over ??= new Promise((resolve) => {
          this.#end = resolve;
        });
        break;
      case 'ending':
        if (this.#over !== undefined) this.#ending = setTimeout(() => this.set('off'), QUIET_MS);
        break;
      case 'off':
        this.#end?.();
        this.#over = undefined;
        break;
      default:
        unreachable(state);
    }
  }

  /** Resolves at once while there is no pause, and when one is over. @throws the signal's reason */
  async pass(signal: AbortSignal): Promise<void> {
    if (this.#over === undefined) return;
    // Nothing else keeps the thread alive that the job runs in: its connection is not read.
    const alive = setInterval(() => undefined, KEEPS_ALIVE_MS);
    try {
      while (this.#over !== undefined) {
        signal.throwIfAborted();
        const aborted = new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => resolve(), { once: true });
        });
        await Promise.race([this.#over, aborted]);
      }
    } finally {
      clearInterval(alive);
    }
  }
}
