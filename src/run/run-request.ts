/** What may be asked of a `run`, by signals as a rule. */
export type RunRequest = 'stop' | 'suspend' | 'power-button';

/**
 * Requests to a `run`, which may come before the machine has started: none is lost. A second `stop` says that the first took too long.
 */
export class RunRequests {
  readonly #early: RunRequest[] = [];
  readonly #stopAsked = new AbortController();
  #take: ((request: RunRequest) => void) | undefined;

  /** Aborted when a `stop` comes before {@link handle}: what has not begun need not begin. */
  get stopAsked(): AbortSignal {
    return this.#stopAsked.signal;
  }

  ask(request: RunRequest): void {
    if (this.#take === undefined) {
      this.#early.push(request);
      if (request === 'stop') this.#stopAsked.abort();
    } else this.#take(request);
  }

  /** Hands over all requests, those that came before included. */
  handle(take: (request: RunRequest) => void): void {
    this.#take = take;
    for (const request of this.#early.splice(0)) take(request);
  }
}
