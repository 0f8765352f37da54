/** Any time will do. */
const KEEPS_ALIVE_MS = 60_000;

/** Lets a job stand still between two pieces of what it fetches, and go on: its sender is not read meanwhile. */
export class Pause {
  #end: (() => void) | undefined;
  #over: Promise<void> | undefined;

  set(isOn: boolean): void {
    if (!isOn) {
      this.#end?.();
      this.#over = undefined;
      return;
    }
    this.#over ??= new Promise((resolve) => {
      this.#end = resolve;
    });
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
