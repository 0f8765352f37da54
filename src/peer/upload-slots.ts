/** Streams of one client at once: as many as a pull has unless more are asked for. */
const PER_CLIENT = 4;

/** Requests that wait for a slot; more are told at once that this host is busy. */
const MOST_WAITING = 64;

/** How long a request waits for a slot, in milliseconds: less than what a client takes for a stall. */
const WAIT_MS = 1_000;

interface Waiting {
  readonly client: string;
  readonly start: (release: (() => void) | undefined) => void;
}

/** The streams that go out at the same time: so many in all, and of them a share for each client. */
export class UploadSlots {
  readonly #slots: number;
  readonly #taken = new Map<string, number>();
  #underWay = 0;
  /** The longest waiting first. */
  readonly #waiting: Waiting[] = [];

  constructor(slots: number) {
    this.#slots = slots;
  }

  /** Streams that go out now. */
  get underWay(): number {
    return this.#underWay;
  }

  /**
   * Takes a slot, as soon as there is one.
   * @returns what gives it back; undefined when there was none within a second, or the client has gone.
   */
  async take(client: string, signal: AbortSignal): Promise<(() => void) | undefined> {
    if (this.#isFree(client)) return this.#start(client);
    if (this.#waiting.length >= MOST_WAITING) return undefined;
    return new Promise((resolve) => {
      const end = (release: (() => void) | undefined): void => {
        clearTimeout(late);
        signal.removeEventListener('abort', giveUp);
        const at = this.#waiting.indexOf(waiting);
        if (at >= 0) this.#waiting.splice(at, 1);
        resolve(release);
      };
      const waiting = { client, start: end };
      const giveUp = (): void => end(undefined);
      const late = setTimeout(giveUp, WAIT_MS);
      signal.addEventListener('abort', giveUp, { once: true });
      this.#waiting.push(waiting);
    });
  }

  #isFree(client: string): boolean {
    return this.#underWay < this.#slots && (this.#taken.get(client) ?? 0) < PER_CLIENT;
  }

  #start(client: string): () => void {
    this.#underWay += 1;
    this.#taken.set(client, (this.#taken.get(client) ?? 0) + 1);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#underWay -= 1;
      const left = (this.#taken.get(client) ?? 1) - 1;
      if (left === 0) this.#taken.delete(client);
      else this.#taken.set(client, left);
      const next = this.#waiting.find((each) => this.#isFree(each.client));
      next?.start(this.#start(next.client));
    };
  }
}
