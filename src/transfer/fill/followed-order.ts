/** A guest agrees with an order when it waits for what comes next, or so little behind it, in units or as a share. */
const NEAR_UNITS = 16;
const NEAR_SHARE = 0.25;

/** So many waits for something else show that an order is none of this guest, if fewer agreed with it. */
const CONTRADICTIONS = 3;

/**
 * A boot order while a fill follows it. It is a hint, and may come from anywhere: when the guest waits for other parts
 * than those that the order says come next, it is of another guest, or made to waste time, and is not followed any
 * more.
 */
export class FollowedOrder {
  #units: readonly number[];
  readonly #ranks: Map<number, number>;
  /** So many are passed. */
  #passed = 0;
  #agreed = 0;
  #contradicted = 0;

  /** @param units of the disk, in the order in which they are to come. */
  constructor(units: Iterable<number>) {
    this.#units = [...new Set(units)];
    this.#ranks = new Map(this.#units.map((unit, rank) => [unit, rank]));
  }

  /** What is to come next; undefined when there is no more. */
  get next(): number | undefined {
    return this.#units[this.#passed];
  }

  /** Nothing is to be done for the next one. */
  pass(): void {
    this.#passed += 1;
  }

  /** Whether a unit is one of those that come first. */
  has(unit: number): boolean {
    return this.#ranks.has(unit);
  }

  /** A guest waits for a unit that nothing has begun to bring. */
  waitedFor(unit: number): void {
    if (this.#ranks.size === 0) return;
    const near = Math.max(NEAR_UNITS, this.#units.length * NEAR_SHARE);
    if ((this.#ranks.get(unit) ?? Number.POSITIVE_INFINITY) <= this.#passed + near) this.#agreed += 1;
    else this.#contradicted += 1;
    if (this.#contradicted < CONTRADICTIONS || this.#contradicted <= this.#agreed) return;
    this.#units = [];
    this.#ranks.clear();
  }
}
