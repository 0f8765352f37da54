/**
 * Chance that can be repeated: the same seed makes the same numbers (mulberry32).
 */
export class Chance {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /** From 0 to 1, without 1. */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** Whether something happens that does so with a probability from 0 to 1. */
  often(probability) {
    return this.next() < probability;
  }

  /** One of several. */
  pick(values) {
    return values[Math.floor(this.next() * values.length)];
  }

  /** A whole number from one to another, both included. */
  between(least, most) {
    return least + Math.floor(this.next() * (most - least + 1));
  }
}
