/** Lets one caller at a time in, in the order in which they asked. */
export class Mutex {
  #last: Promise<void> = Promise.resolve();

  /** Waits for the caller's turn. @returns the function that ends it */
  async take(): Promise<() => void> {
    const before = this.#last;
    let end: () => void = () => undefined;
    this.#last = new Promise((resolve) => (end = resolve));
    await before;
    return end;
  }
}
