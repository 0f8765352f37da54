/** Without a byte for so long, in milliseconds, a peer is dropped: the registry is there, too. */
const STALL_MS = 1_500;

/** A peer that sent a byte so lately, in milliseconds, is slow and not silent. */
const SPEAKING_MS = 500;

/** Bytes of content per second that a peer must give, on the average of a stream. */
const SLOWEST_BYTES_PER_SECOND = 4 * 1024 * 1024;

/** Before the first byte a peer may have to hash all of the content, at so many bytes per second. */
const HASHING_BYTES_PER_SECOND = 256 * 1024 * 1024;

/** How often is looked, in milliseconds. Time is counted in looks: when this thread was busy, no peer is to blame. */
const LOOK_MS = 100;

/** What is told of a stream while it is watched. */
export interface Pace {
  /** Something came. */
  came(): void;
  /** So much of the content came in all, in bytes. */
  reached(contentBytes: number): void;
  /** Something else than the peer is waited for, a limit of this side for example: that time does not count. */
  notCounting(work: () => Promise<void>): Promise<void>;
  end(): void;
}

/**
 * Watches one stream from a peer. A byte must come every 1.5 s; and after as long as that, and what hashing the content
 * may take, the content must have come with 4 MiB/s on the average.
 *
 * @param size bytes of the content that are to come.
 * @param limit bytes per second that all streams of the command get at most: then an eighth of it is enough.
 * @param onSlow told once when it does not.
 */
export function watchPace(size: number, limit: number | undefined, onSlow: (why: 'stalled' | 'slow') => void): Pace {
  const slowest = Math.min(SLOWEST_BYTES_PER_SECOND, (limit ?? Infinity) / 8);
  const graceMs = STALL_MS + (size / HASHING_BYTES_PER_SECOND) * 1000;
  let elapsedMs = 0;
  let silentMs = 0;
  let reached = 0;
  let isCounting = true;
  const look = setInterval(() => {
    if (!isCounting) return;
    elapsedMs += LOOK_MS;
    silentMs += LOOK_MS;
    const due = ((elapsedMs - graceMs) / 1000) * slowest;
    const isStalled = silentMs > STALL_MS;
    // One that is silent just now is given the time that silence has.
    const isSlow = reached < due && silentMs <= SPEAKING_MS;
    if (!isStalled && !isSlow) return;
    clearInterval(look);
    onSlow(isStalled ? 'stalled' : 'slow');
  }, LOOK_MS);
  return {
    came: () => {
      silentMs = 0;
    },
    reached: (contentBytes) => {
      reached = contentBytes;
    },
    notCounting: async (work) => {
      isCounting = false;
      try {
        await work();
      } finally {
        isCounting = true;
        silentMs = 0;
      }
    },
    end: () => clearInterval(look),
  };
}
