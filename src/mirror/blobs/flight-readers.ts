import type { BlobOrigin } from './contract.ts';

/** The clients of one flight: who has it open, who reads, and who waits for more of it. */
export class FlightReaders {
  /** Of those who read; where one fails, the next goes on. */
  readonly #origins: BlobOrigin[] = [];
  readonly #waiting = new Set<() => void>();
  #contents = 0;
  #reading = 0;

  /** How many contents are open, read or not. */
  get contents(): number {
    return this.#contents;
  }

  /** How many of them were read from. */
  get reading(): number {
    return this.#reading;
  }

  /** By whom the blob is fetched; undefined when all have failed. */
  get origin(): BlobOrigin | undefined {
    return this.#origins[0];
  }

  opened(): void {
    this.#contents += 1;
  }

  began(origin: BlobOrigin): void {
    this.#reading += 1;
    this.#origins.push(origin);
  }

  /** @param origin that it began with. */
  closed(origin: BlobOrigin | undefined): void {
    this.#contents -= 1;
    if (origin === undefined) return;
    this.#reading -= 1;
    // The last one is gone on with, as long as the flight lasts.
    if (this.#origins.length > 1) this.failed(origin);
  }

  /** It gives nothing more. */
  failed(origin: BlobOrigin): void {
    const index = this.#origins.indexOf(origin);
    if (index >= 0) this.#origins.splice(index, 1);
  }

  /** Resolves with the next {@link wake}. @param begun is given a function that ends the waiting before. */
  async wait(begun: (end: () => void) => void): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#waiting.add(resolve);
      begun(() => {
        this.#waiting.delete(resolve);
        resolve();
      });
    });
  }

  wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }
}
