/**
 * Begins one request of each client per turn of the event loop. So a client that asks thousands of times a second, on
 * as many connections as it may have, costs the others one of its requests per step of theirs, and waits for itself
 * (reliability S72).
 */
export class ClientQueue {
  /**
   * Clients of which a request has begun in this turn of the event loop, and their requests that wait for the next
   * ones.
   */
  #waiting: Map<string, (() => void)[]> | undefined;

  /** Resolves when a request of the client may begin: at once for the first one of a turn. */
  async take(client: string): Promise<void> {
    if (this.#waiting === undefined) {
      this.#waiting = new Map([[client, []]]);
      setImmediate(() => this.#turn());
      return;
    }
    const own = this.#waiting.get(client);
    if (own === undefined) this.#waiting.set(client, []);
    else await new Promise<void>((resolve) => own.push(resolve));
  }

  #turn(): void {
    const before = this.#waiting ?? new Map<string, (() => void)[]>();
    this.#waiting = undefined;
    for (const [client, own] of before) {
      const begin = own.shift();
      if (begin === undefined) continue;
      this.#waiting ??= new Map();
      this.#waiting.set(client, own);
      begin();
    }
    if (this.#waiting !== undefined) setImmediate(() => this.#turn());
  }
}
