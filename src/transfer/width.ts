/** How many may be at work at once: fewer after a complaint, one more after each that ended well, never more than at first (reliability N28). */
export class Width {
  readonly #most: number;
  readonly #queue: (() => void)[] = [];
  #now: number;
  #inside = 0;

  constructor(most: number) {
    this.#most = most;
    this.#now = most;
  }

  /** How many may be at work now. */
  get now(): number {
    return this.#now;
  }

  /**
   * Waits for a place. Somebody is always inside while others wait, so they all come in.
   * @returns what gives the place back.
   */
  async enter(): Promise<() => void> {
    while (this.#inside >= this.#now) {
      await new Promise<void>((resolve) => {
        this.#queue.push(resolve);
      });
    }
    this.#inside += 1;
    return () => {
      this.#inside -= 1;
      this.#now = Math.min(this.#most, this.#now + 1);
      for (const wake of this.#queue.splice(0)) wake();
    };
  }

  /** The other side wants fewer. */
  halve(): void {
    this.#now = Math.max(1, Math.floor(this.#now / 2));
  }
}
