import { TartletError } from '../../errors.ts';
import type { Timing } from './backoff.ts';
import { hostAndPort } from './network-error.ts';
import type { AnswerWatch } from './body-watch.ts';
import type { RateLimit } from './rate-limit.ts';

/*
 * The one rule of progress, below every answer on both ways to the wire (reliability I9, N25, S20): there is no limit
 * for a whole body, because slow links are honest, but a server that makes us wait must send something worth it. It was
 * a rule for blobs once, and a token, a manifest or an error that came by one byte per second held a command for ever.
 */

/** What the rule needs to know; and how fast we read at most ourselves, which is no fault of the server. */
export interface Pace extends Pick<Timing, 'clock' | 'limits'> {
  readonly rateLimit?: RateLimit | undefined;
}

/**
 * The pieces of a body for as long as it moves. Only the time that was spent waiting for it counts: a reader that is
 * slow itself does not blame the server.
 * @param watch told of it as well.
 * @throws TartletError `NET_TIMEOUT` when the last `trickleMs` of waiting brought fewer than `trickleBytes`.
 */
export function moving(
  pieces: AsyncIterator<Uint8Array>,
  url: URL,
  { clock, limits }: Pace,
  watch?: AnswerWatch,
): AsyncIterator<Uint8Array> {
  let waitedMs = 0;
  let bytes = 0;
  let trickles = false;
  const close = async (): Promise<IteratorResult<Uint8Array>> => {
    watch?.ends();
    return (await pieces.return?.()) ?? { done: true, value: undefined };
  };
  const nextPiece = async (): Promise<IteratorResult<Uint8Array>> => {
    let isOver = true;
    watch?.waits();
    try {
      const next = await pieces.next();
      isOver = next.done === true;
      if (next.done !== true) watch?.came(next.value.length);
      return next;
    } finally {
      if (isOver) watch?.ends();
    }
  };
  return {
    next: async () => {
      if (trickles) {
        await close();
        throw tooSlow(url, 'sends next to nothing');
      }
      const asked = clock.monotonic();
      const next = await nextPiece();
      waitedMs += clock.monotonic() - asked;
      if (next.done !== true) bytes += next.value.length;
      if (waitedMs >= limits.trickleMs) {
        // What has come is handed out first: a blob goes on behind it.
        trickles = bytes < limits.trickleBytes;
        waitedMs = 0;
        bytes = 0;
      }
      return next;
    },
    return: close,
  };
}

/**
 * The wait for the head of an answer. The library measures it by itself, but begins anew with each interim answer,
 * which may come in any number (RFC 9110 §15.2).
 */
export class HeadWait {
  readonly #url: URL;
  readonly #pace: Pace;
  #since: number;

  constructor(url: URL, pace: Pace) {
    this.#url = url;
    this.#pace = pace;
    this.#since = pace.clock.monotonic();
  }

  /** A piece of the request was taken. */
  sent(): void {
    this.#since = this.#pace.clock.monotonic();
  }

  /** An interim answer came. @throws TartletError `NET_TIMEOUT` when the final one is due. */
  interim(): void {
    const { clock, limits } = this.#pace;
    if (clock.monotonic() - this.#since < limits.headersMs) return;
    throw tooSlow(this.#url, 'sends interim answers, and never a final one');
  }
}

function tooSlow(url: URL, how: string): TartletError {
  const host = hostAndPort(url);
  return new TartletError('NET_TIMEOUT', `${host} ${how}`, { subject: host, retryable: true });
}
