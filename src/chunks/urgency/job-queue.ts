import type { Urgency } from './urgency.ts';

/** Jobs that wait for their turn: in the order of their list, but urgent ones first. */
export class JobQueue<J> {
  readonly #jobs: J[];
  readonly #urgency: Urgency<J> | undefined;

  constructor(jobs: readonly J[], urgency: Urgency<J> | undefined) {
    this.#jobs = [...jobs];
    this.#urgency = urgency;
  }

  get length(): number {
    return this.#jobs.length;
  }

  add(job: J): void {
    this.#jobs.push(job);
  }

  /** @param which `urgent`: undefined unless one is. */
  take(which: 'any' | 'urgent'): J | undefined {
    const urgent = this.#urgent();
    if (urgent >= 0) return this.#jobs.splice(urgent, 1)[0];
    return which === 'any' ? this.#jobs.shift() : undefined;
  }

  get hasUrgent(): boolean {
    return this.#urgent() >= 0;
  }

  #urgent(): number {
    const urgency = this.#urgency;
    return urgency === undefined ? -1 : this.#jobs.findIndex((job) => urgency.isUrgent(job));
  }
}
