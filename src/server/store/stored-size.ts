import type { ContentStore } from './content-store.ts';

/** Counted anew when it is asked for and the last count is older than this, in milliseconds. */
const COUNT_EVERY = 5 * 60_000;

interface Size {
  readonly blobs: number;
  readonly bytes: number;
}

/**
 * How much is stored. Telling it means to look at every file, so it is done after the answer, and what
 * was found last is told meanwhile.
 */
export class StoredSize {
  readonly #blobs: ContentStore;
  readonly #now: () => number;
  #last: Size | undefined;
  #countedAt = -Infinity;
  #counting: Promise<void> | undefined;

  /** @param now epoch milliseconds. */
  constructor(blobs: ContentStore, now: () => number) {
    this.#blobs = blobs;
    this.#now = now;
  }

  /** What was found last; undefined before the first count has ended. */
  get last(): Size | undefined {
    if (this.#counting === undefined && this.#now() - this.#countedAt > COUNT_EVERY) {
      this.#counting = this.#count()
        // A directory that cannot be read is told by what reads it on purpose.
        .catch(() => undefined)
        .finally(() => {
          this.#counting = undefined;
        });
    }
    return this.#last;
  }

  /** The next one who asks begins a new count: much has changed. */
  forget(): void {
    this.#countedAt = -Infinity;
  }

  async #count(): Promise<void> {
    this.#countedAt = this.#now();
    let blobs = 0;
    let bytes = 0;
    for await (const { size } of this.#blobs.entries()) {
      blobs += 1;
      bytes += size;
    }
    this.#last = { blobs, bytes };
  }
}
