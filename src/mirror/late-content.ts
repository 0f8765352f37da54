import type { Content } from '../server/contract/content.ts';
import type { Refusal } from '../server/contract/refusal.ts';

/** How the content is had that is opened late. */
export interface LateOpening {
  open(): Promise<Content>;
  /** What a client hears of a failure while it can hear anything. @throws what is a fault of the server. */
  explain(error: unknown): Refusal;
  onServed(bytes: number): void;
}

/** Content of a known size that is opened when it is going to be read, so that telling its size costs nothing. */
export class LateContent implements Content {
  readonly size: number;
  readonly #opening: LateOpening;
  #content: Promise<Content> | undefined;

  constructor(size: number, opening: LateOpening) {
    this.size = size;
    this.#opening = opening;
  }

  async prepare(start: number, end: number | undefined): Promise<void> {
    try {
      const content = await this.#open();
      await content.prepare?.(start, end);
    } catch (error) {
      throw this.#opening.explain(error);
    }
  }

  async read(buffer: Buffer, position: number): Promise<number> {
    const count = await (await this.#open()).read(buffer, position);
    this.#opening.onServed(count);
    return count;
  }

  async close(): Promise<void> {
    const content = await this.#content?.catch(() => undefined);
    await content?.close();
  }

  async #open(): Promise<Content> {
    this.#content ??= this.#opening.open();
    return this.#content;
  }
}
