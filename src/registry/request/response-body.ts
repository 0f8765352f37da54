import { TartletError } from '../../errors.ts';
import { watchOf } from './body-watch.ts';
import { moving, type Pace } from './progress.ts';
import { arriving } from './rate-limit.ts';
import type { ResponseBody, ResponseStart, RegistryResponse } from './request.ts';

/** What became of a body. */
type Fate = 'untouched' | 'read' | 'discarded' | 'closed';

/**
 * A body that is taken once: read, or discarded, or closed. A second reader gets an error at once. A stream that has
 * ended does not tell its end again, so that such a reader waited for ever, and the command ended with nothing left to
 * do, and status 0.
 */
export abstract class SingleUseBody implements ResponseBody {
  readonly #url: URL;
  readonly #pace: Pace;
  readonly #signal: AbortSignal | undefined;
  #fate: Fate = 'untouched';

  /** @param url where it comes from. @param signal ends waiting for the time of a piece, where a rate is limited. */
  constructor(url: URL, pace: Pace, signal: AbortSignal | undefined) {
    this.#url = url;
    this.#pace = pace;
    this.#signal = signal;
  }

  /**
   * The pieces as {@link moving} lets them pass, and not faster than is allowed.
   * @throws TartletError `INTERNAL` when it was read, discarded or closed before.
   */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    if (this.#fate !== 'untouched') {
      throw new TartletError('INTERNAL', `the body of an answer was ${this.#fate} before it was to be read`);
    }
    this.#fate = 'read';
    const pieces = moving(this.pieces(), this.#url, this.#pace, watchOf(this.#signal));
    return arriving(pieces, this.#pace.rateLimit, this.#signal);
  }

  async discard(): Promise<void> {
    watchOf(this.#signal)?.ends();
    switch (this.#fate) {
      case 'untouched':
        this.#fate = 'discarded';
        return this.drain();
      case 'read':
        // What the reader left is of no use any more.
        return this.close();
      case 'discarded':
      case 'closed':
        return;
    }
  }

  destroy(): void {
    watchOf(this.#signal)?.ends();
    if (this.#fate === 'untouched') this.#fate = 'closed';
    this.close();
  }

  /** The bytes, as they arrive. Called once. */
  protected abstract pieces(): AsyncIterator<Uint8Array>;
  /**
   * Lets go of the connection as {@link ResponseBody.discard} promises. Called once, and never after {@link pieces}.
   */
  protected abstract drain(): Promise<void>;
  /** Closes the connection, if it is still that of this body. May be called at any time. */
  protected abstract close(): void;
}

/** Discards the body of an answer and gives what is left of it, which no caller can take for one with a body. */
export async function withoutBody(response: RegistryResponse): Promise<ResponseStart> {
  await response.body.discard();
  const { body: _, ...start } = response;
  return start;
}
