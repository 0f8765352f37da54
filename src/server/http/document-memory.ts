import { Refusal } from '../contract/refusal.ts';

/** Bytes of documents that requests of one client keep in memory: four manifests of the largest size. */
const PER_CLIENT = 16 * 1024 * 1024;
/** The same of all clients together. */
const IN_ALL = 128 * 1024 * 1024;

/** What one request keeps in memory. */
export interface HeldDocuments {
  /** @throws Refusal 429 when its client, or all together, keep too much; nothing was counted then. */
  take(bytes: number): void;
  /** What was taken and is not needed after all. */
  giveBack(bytes: number): void;
  /** When neither the work on the request nor its answer needs them any more. */
  release(): void;
}

/**
 * Bounds what documents take of the memory: manifests while they come in and are looked at, lists until they are read.
 * Blobs and manifests that are sent need none of it, because they are sent from their files (reliability S73).
 */
export class DocumentMemory {
  readonly #perClient = new Map<string, number>();
  #total = 0;

  open(client: string): HeldDocuments {
    let held = 0;
    const count = (bytes: number): void => {
      held += bytes;
      this.#total += bytes;
      const own = (this.#perClient.get(client) ?? 0) + bytes;
      if (own > 0) this.#perClient.set(client, own);
      else this.#perClient.delete(client);
    };
    return {
      take: (bytes) => {
        if ((this.#perClient.get(client) ?? 0) + bytes > PER_CLIENT || this.#total + bytes > IN_ALL) {
          throw new Refusal(429, 'TOOMANYREQUESTS', 'too many large documents are under way', {
            headers: { 'Retry-After': '1' },
          });
        }
        count(bytes);
      },
      giveBack: (bytes) => count(-bytes),
      release: () => count(-held),
    };
  }
}
