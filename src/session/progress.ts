/*
 * More than 250 lines, because it is one list, of the events and of what each means, and their sums.
 */
import type { TimeSpent } from '../chunks/time-spent.ts';
import type { Hint } from '../hint.ts';
import type { PeerEvent } from './peer-event.ts';
import type { PlanSummary } from './plan-summary.ts';

/**
 * What a transfer does. A `copy` moves blobs as they are, between registries, and a `download` one file: they know of
 * no disk. A `check` only reads what is here.
 */
export type Direction = 'pull' | 'push' | 'copy' | 'export' | 'import' | 'check' | 'download';

/**
 * What a pull, a push, an export or an import tells while it runs. Every event names its image by `subject` (the name
 * as the user will see it), so that several transfers can share one listener. Events are facts, in order per subject;
 * how they look is decided elsewhere.
 */
export type TransferEvent = { readonly subject: string } & (
  | PeerEvent
  | {
      /** The name was looked up; nothing was moved yet. */
      readonly kind: 'resolved';
      readonly digest: string;
    }
  | {
      /** Another process must finish first. Comes again when more is known; any other event of the subject ends it. */
      readonly kind: 'waiting';
      readonly reason: string;
      /** How far the other one is, in bytes of the decoded disk, where that can be seen. */
      readonly done?: { readonly diskBytes: number; readonly ofDiskBytes: number } | undefined;
    }
  | {
      readonly kind: 'started';
      readonly direction: Direction;
      /**
       * Bytes to cross the network or to leave an archive, without what is reused; undefined where it shows only
       * underway (a push compresses as it goes).
       */
      readonly bytesTotal: number | undefined;
      /** Bytes of the disk, decoded; for a copy, of all blobs. */
      readonly diskBytes: number;
      /** Chunks of the disk, those to be reused included; for a copy, all blobs. */
      readonly chunks: number;
      /** For a pull: what comes from where. */
      readonly plan?: PlanSummary;
    }
  | {
      /** What was to be reused turned out to be damaged or gone: so many bytes cross the network in all. */
      readonly kind: 'replanned';
      readonly bytesTotal: number;
    }
  | {
      /** Bytes crossed the network just now. Negative: so many have to cross it again. */
      readonly kind: 'bytes';
      readonly count: number;
      /** Bytes that came from peers; then `count` are those that need not come from the registry for it. */
      readonly fromPeers?: number;
    }
  | {
      /** So much of the disk will be hashed, before it shows what is to be sent. Comes before any `hashed`. */
      readonly kind: 'to-hash';
      readonly diskBytes: number;
    }
  | {
      /** So much of the disk was hashed just now. */
      readonly kind: 'hashed';
      readonly diskBytes: number;
    }
  | {
      /**
       * So much of the work on the disk was done just now, in bytes of it; for a push, encoding and sending are half of
       * it each. Negative: it was for nothing. Chunks that are done are part of it.
       */
      readonly kind: 'worked';
      readonly diskBytes: number;
    }
  | {
      /**
       * A chunk is under way, and so far: in bytes that cross the network or leave an archive, for a push or an export
       * in bytes of the disk. When `done` reaches `of`, or the chunk is told to be done or reused, that is over.
       */
      readonly kind: 'chunk-under-way';
      readonly index: number;
      readonly done: number;
      readonly of: number;
    }
  | {
      /** A chunk is verified where it belongs. `bytes` of the decoded disk. */
      readonly kind: 'chunk-done';
      readonly index: number;
      readonly bytes: number;
      /** Whether it was found to hold nothing but zeros. Default: that is not known. */
      readonly isZero?: boolean;
    }
  | {
      /** A chunk was there before and needs no transfer. `bytes` of the decoded disk. */
      readonly kind: 'chunk-reused';
      readonly index: number;
      readonly bytes: number;
      /** As for `chunk-done`. */
      readonly isZero?: boolean;
    }
  | {
      /** Something failed and will be tried again in `waitMs` milliseconds. */
      readonly kind: 'retrying';
      readonly reason: string;
      readonly waitMs: number;
    }
  | {
      /** What the work on the chunks was done with: so many threads, and their time. */
      readonly kind: 'spent';
      readonly threads: number;
      readonly spent: TimeSpent;
    }
  | {
      /** One sentence worth keeping on the screen. */
      readonly kind: 'note';
      readonly text: string;
      /** What tells more, or helps. */
      readonly next?: Hint;
    }
  | {
      /**
       * Something of the cache was deleted: to make room for the subject, or because the tag of the subject led to it
       * and moved.
       */
      readonly kind: 'deleted';
      readonly name: string;
      /** That it occupied. */
      readonly bytes: number;
      /** How long it had not been used, in milliseconds. */
      readonly unusedMs: number;
      readonly why: 'room' | 'replaced';
    }
  | {
      /** All is in its place. The last event of a subject; a transfer that fails throws instead. */
      readonly kind: 'finished';
    }
);

/** What hashing a byte is of the work of encoding and sending it, about. */
const HASHING = 0.25;

/** Adds up the events of one subject. Knows no clock. */
export class TransferTotals {
  #started: Extract<TransferEvent, { kind: 'started' }> | undefined;
  #bytes = 0;
  #peerBytes = 0;
  #doneDiskBytes = 0;
  #zeroDiskBytes = 0;
  #reusedZeroBytes = 0;
  #reusedDiskBytes = 0;
  #toHash = 0;
  #hashed = 0;
  #worked = 0;

  add(event: TransferEvent): void {
    if (event.kind === 'started') {
      this.#started = event;
    } else if (event.kind === 'replanned') {
      if (this.#started !== undefined) this.#started = { ...this.#started, bytesTotal: event.bytesTotal };
    } else if (event.kind === 'bytes') {
      this.#bytes += event.count;
      this.#peerBytes += event.fromPeers ?? 0;
    } else if (event.kind === 'chunk-done') {
      this.#doneDiskBytes += event.bytes;
      if (event.isZero === true) this.#zeroDiskBytes += event.bytes;
    } else if (event.kind === 'to-hash') {
      this.#toHash = event.diskBytes;
    } else if (event.kind === 'hashed') {
      this.#hashed += event.diskBytes;
    } else if (event.kind === 'worked') {
      this.#worked += event.diskBytes;
    } else if (event.kind === 'chunk-reused') {
      this.#reusedDiskBytes += event.bytes;
      if (event.isZero !== true) return;
      this.#zeroDiskBytes += event.bytes;
      this.#reusedZeroBytes += event.bytes;
    }
  }

  /** Undefined until the transfer has started. */
  get direction(): Direction | undefined {
    return this.#started?.direction;
  }

  /** Bytes that crossed the network and count. */
  get bytes(): number {
    return Math.max(0, this.#bytes);
  }

  /** Bytes that came from peers; what they spare of the registry's is in {@link bytes}. */
  get peerBytes(): number {
    return Math.max(0, this.#peerBytes);
  }

  /** Bytes to cross the network in all, when that is known. */
  get bytesTotal(): number | undefined {
    return this.#started?.bytesTotal;
  }

  /** What comes from where, for a pull. */
  get plan(): PlanSummary | undefined {
    return this.#started?.plan;
  }

  get diskBytes(): number {
    return this.#started?.diskBytes ?? 0;
  }

  /** Bytes of the disk that were brought to their place by this transfer. */
  get doneDiskBytes(): number {
    return this.#doneDiskBytes;
  }

  /** Bytes of the disk that needed no transfer. */
  get reusedDiskBytes(): number {
    return this.#reusedDiskBytes;
  }

  get chunks(): number {
    return this.#started?.chunks ?? 0;
  }

  /** Bytes of the disk that are known to be zeros. */
  get zeroDiskBytes(): number {
    return this.#zeroDiskBytes;
  }

  /** Those of them that needed no transfer. */
  get reusedZeroBytes(): number {
    return this.#reusedZeroBytes;
  }

  /**
   * The work on the disk that is done, and that is left, in bytes of the disk; what needed no transfer is neither.
   * Hashing counts for less than encoding and sending.
   */
  get diskWork(): { readonly done: number; readonly left: number } {
    const toMove = Math.max(0, this.diskBytes - this.#reusedDiskBytes);
    const moved = Math.min(toMove, Math.max(this.#worked, this.#doneDiskBytes));
    const hashed = Math.min(this.#hashed, this.#toHash);
    return { done: moved + hashed * HASHING, left: toMove - moved + (this.#toHash - hashed) * HASHING };
  }

  /**
   * How much of the work is done, from 0 to 1: by bytes on the wire where their sum is known, else by bytes of the
   * disk. Never beyond 1, although bytes that were sent twice can make more than all.
   */
  get fraction(): number {
    const total = this.bytesTotal;
    if (this.#started === undefined) return 0;
    const { left } = this.diskWork;
    const all = this.diskBytes + this.#toHash * HASHING;
    const [part, whole] = total === undefined ? [all - left, all] : [this.bytes, total];
    return whole === 0 ? 1 : Math.min(1, part / whole);
  }
}
