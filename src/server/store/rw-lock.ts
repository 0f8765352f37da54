/**
 * Many may pass at once, or one alone: publishing takes {@link shared}, garbage collection {@link alone}, so that
 * nothing can be judged unreferenced between the moment it is stored and the moment it is linked.
 */
export class RwLock {
  #inside = 0;
  #closed: Promise<void> | undefined;
  #emptied: (() => void) | undefined;

  async shared<T>(work: () => Promise<T>): Promise<T> {
    while (this.#closed !== undefined) await this.#closed;
    this.#inside += 1;
    try {
      return await work();
    } finally {
      this.#inside -= 1;
      if (this.#inside === 0) this.#emptied?.();
    }
  }

  async alone<T>(work: () => Promise<T>): Promise<T> {
    while (this.#closed !== undefined) await this.#closed;
    const { promise, resolve } = pending();
    this.#closed = promise;
    try {
      if (this.#inside > 0) {
        const empty = pending();
        this.#emptied = empty.resolve;
        await empty.promise;
        this.#emptied = undefined;
      }
      return await work();
    } finally {
      this.#closed = undefined;
      resolve();
    }
  }
}

/** One after the other per key, in the order of arrival: changes to the manifests and tags of one repository. */
export class KeyedMutex {
  readonly #last = new Map<string, Promise<unknown>>();

  async take<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key);
    const mine = (async () => {
      // The work before told its own caller how it went.
      await before?.catch(() => undefined);
      return work();
    })();
    this.#last.set(key, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(key) === mine) this.#last.delete(key);
    }
  }
}

function pending(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
