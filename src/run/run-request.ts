/** What may be asked of a `run`, by signals as a rule. */
export type RunRequest = 'stop' | 'suspend' | 'power-button';

/**
 * Requests to a `run`, which may come before the machine has started: none is lost. A second `stop` says that the first took too long.
 */
export class RunRequests {
  readonly #early: RunRequest[] = [];
  #take: ((request: RunRequest) => void) | undefined;

  ask(request: RunRequest): void {
    if (this.#take === undefined) this.#early.push(request);
    else this.#take(request);
  }

  /** Hands over all requests, those that came before included. */
  handle(take: (request: RunRequest) => void): void {
    this.#take = take;
    for (const request of this.#early.splice(0)) take(request);
  }
}
