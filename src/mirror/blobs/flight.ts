import { describeError, isTartletError, TartletError } from '../../errors.ts';
import type { Digest } from '../../names/digest.ts';
import { endedEarly, surplus } from '../../registry/blobs/blob.ts';
import { BlobVerifier } from '../../registry/blobs/blob-verifier.ts';
import type { CacheBudget } from './budget.ts';
import type { BlobOrigin } from './contract.ts';
import { FlightReaders } from './flight-readers.ts';
import { NotSpooled, Spool } from './spool.ts';
import type { StoredBlobs } from './stored-blobs.ts';

/** What a flight is made from. */
export interface FlightSettings {
  readonly digest: Digest;
  readonly size: number;
  /** Path of the spool. */
  readonly spool: string;
  readonly budget: CacheBudget;
  readonly stored: StoredBlobs;
  /** How long a flight that no client waits for goes on in any case, in milliseconds. */
  readonly graceMs: number;
  /** Ends before this flight touches the spool: that of the flight before. */
  readonly after: Promise<void>;
  readonly onFetched: (bytes: number) => void;
  /** Told when the whole is there and verified; it is stored after that. */
  readonly onVerified: () => Promise<void>;
  /** Told once, when the blob cannot be joined any more; after that it is stored, or a new flight may begin. */
  readonly onEnd: (end: FlightEnd) => void;
}

/** How a flight ended; `not-spooled` when the disk took it no longer. */
export type FlightEnd =
  | { readonly kind: 'stored' | 'stopped' | 'unused' }
  | { readonly kind: 'not-spooled' | 'refused' | 'broken-off'; readonly reason: string };

/** What is there for a reader: so many bytes from its position on, or none from here. */
export type Arrived =
  | { readonly kind: 'here'; readonly bytes: number }
  /** The disk takes no more; what hashed what is there, if the position is the first that is not. */
  | { readonly kind: 'not-spooled'; readonly verifier: BlobVerifier | undefined };

type State =
  | { readonly kind: 'arriving' }
  /** Every byte is there, and the digest is right. */
  | { readonly kind: 'whole' }
  | { readonly kind: 'not-spooled' }
  /** What is there may still be read when it was not wrong. */
  | { readonly kind: 'failed'; readonly error: unknown; readonly isWrong: boolean };

/**
 * One blob on its way from an upstream into the spool, whichever number of clients reads it meanwhile. It does not wait
 * for clients, and they wait for nothing but the bytes: it runs as fast as the upstream sends and the disk writes.
 */
export class Flight {
  readonly size: number;
  readonly #settings: FlightSettings;
  readonly #abort = new AbortController();
  readonly #verifier: BlobVerifier;
  readonly #readers = new FlightReaders();
  #state: State = { kind: 'arriving' };
  #run: Promise<void> | undefined;
  #spool: Spool | undefined;
  #grace: NodeJS.Timeout | undefined;
  #isFlying = false;
  #isEnded = false;

  constructor(settings: FlightSettings) {
    this.#settings = settings;
    this.size = settings.size;
    this.#verifier = new BlobVerifier(settings.digest, settings.size);
  }

  /** Resolves when it touches the spool's name no more; never rejects. */
  get done(): Promise<void> {
    return this.#run ?? Promise.resolve();
  }

  /** Bytes that have arrived, from the first on. */
  get there(): number {
    return this.#spool?.arrived ?? 0;
  }

  /** A content is opened that may be read. */
  opened(): void {
    this.#readers.opened();
  }

  /** A content is read from for the first time: now the flight is wanted. */
  begin(origin: BlobOrigin): void {
    this.#readers.began(origin);
    clearTimeout(this.#grace);
    if (this.#run !== undefined) return;
    this.#isFlying = true;
    this.#run = this.#fly();
  }

  /** A content is closed. @param origin that it had begun with. */
  async closed(origin: BlobOrigin | undefined): Promise<void> {
    this.#readers.closed(origin);
    const { contents, reading } = this.#readers;
    if (origin !== undefined && reading === 0 && this.#state.kind === 'arriving') {
      this.#grace = setTimeout(() => this.#judge(), this.#settings.graceMs).unref();
    }
    if (this.#run === undefined && contents === 0) this.#end({ kind: 'unused' });
    await this.#releaseUnused();
  }

  /** Ends it. What is in the spool stays. */
  async stop(): Promise<void> {
    clearTimeout(this.#grace);
    this.#abort.abort(new TartletError('INTERRUPTED', 'the cache is being closed'));
    await this.#run;
  }

  /**
   * Waits until there is something at a position.
   * @param wake is given a function that ends the waiting, which then finds whatever there is.
   * @throws what ended the flight, when nothing will come.
   */
  async arrived(position: number, wake: (end: () => void) => void): Promise<Arrived | undefined> {
    const found = this.#look(position);
    if (found !== undefined) return found;
    await this.#readers.wait(wake);
    return this.#look(position);
  }

  /** Reads what has arrived. @throws the system's own error */
  async read(buffer: Buffer, position: number): Promise<number> {
    if (this.#spool === undefined) throw new TartletError('INTERNAL', 'a blob is read that has not begun to arrive');
    return this.#spool.read(buffer, position);
  }

  #look(position: number): Arrived | undefined {
    const state = this.#state;
    if (state.kind === 'failed' && state.isWrong) throw state.error;
    // Without the last byte nothing looks whole that may be wrong.
    const readable = state.kind === 'whole' ? this.size : Math.min(this.there, this.size - 1);
    if (position < readable) return { kind: 'here', bytes: readable - position };
    if (state.kind === 'failed') throw state.error;
    if (state.kind !== 'not-spooled') return undefined;
    return { kind: 'not-spooled', verifier: position === this.#verifier.seen ? this.#verifier.copy() : undefined };
  }

  /**
   * No client has waited for a while. What is more than half there is finished: it costs less than it saves when it is
   * asked for again. Otherwise the upstream is left alone; what is there stays, and is gone on with.
   */
  #judge(): void {
    if (this.#readers.reading > 0 || (this.#spool?.arrived ?? 0) * 2 > this.size) return;
    // Who comes now begins a new flight, that goes on from what is there.
    this.#end({ kind: 'stopped' });
    this.#abort.abort(new TartletError('INTERRUPTED', 'no client waits for the blob any more'));
  }

  async #fly(): Promise<void> {
    await this.#settings.after;
    try {
      const spool = await Spool.open({ ...this.#settings, path: this.#settings.spool });
      this.#spool = spool;
      this.#readers.wake();
      // What an earlier flight left is not trusted, only not fetched again: the digest of the whole decides.
      for await (const piece of spool.pieces()) this.#verifier.update(piece);
      while (spool.arrived < this.size) await this.#fetchFrom(this.#readers.origin, spool);
      this.#verifier.verdict();
      this.#state = { kind: 'whole' };
      this.#readers.wake();
      await this.#settings.onVerified();
      await spool.store(this.#settings.stored, this.#settings.digest);
      this.#end({ kind: 'stored' });
    } catch (error) {
      await this.#failed(error);
    }
    clearTimeout(this.#grace);
    this.#readers.wake();
    this.#isFlying = false;
    await this.#releaseUnused();
  }

  /** @throws what the last origin that was left has thrown. */
  async #fetchFrom(origin: BlobOrigin | undefined, spool: Spool): Promise<void> {
    if (origin === undefined) throw new TartletError('INTERNAL', 'a blob is fetched without an origin');
    const { signal } = this.#abort;
    try {
      for await (const piece of origin.read(spool.arrived, signal)) {
        signal.throwIfAborted();
        await this.#take(piece, spool);
      }
      if (spool.arrived < this.size) throw endedEarly(this.#settings, spool.arrived, this.size);
    } catch (error) {
      signal.throwIfAborted();
      this.#readers.failed(origin);
      // Another client may have another login, or another repository of this upstream.
      if (isWrong(error) || error instanceof NotSpooled || this.#readers.origin === undefined) throw error;
    }
  }

  async #take(piece: Uint8Array, spool: Spool): Promise<void> {
    this.#settings.onFetched(piece.length);
    if (spool.arrived + piece.length > this.size) throw surplus(this.#settings, this.size);
    await spool.append(piece);
    // Only what is in the spool: where the disk takes no more, a reader goes on from here with what was hashed.
    this.#verifier.update(piece);
    this.#readers.wake();
  }

  async #failed(error: unknown): Promise<void> {
    const wrong = isWrong(error);
    const isNotSpooled = error instanceof NotSpooled;
    // Who reads a blob that could only not be stored has every byte, and verified.
    if (this.#state.kind !== 'whole')
      this.#state = isNotSpooled ? { kind: 'not-spooled' } : { kind: 'failed', error, isWrong: wrong };
    const reason = describeError(error);
    // Before anything is waited for: who asks from now on must not join it.
    if (isNotSpooled) this.#end({ kind: 'not-spooled', reason });
    else if (this.#abort.signal.aborted) this.#end({ kind: 'stopped' });
    else this.#end({ kind: wrong ? 'refused' : 'broken-off', reason });
    this.#readers.wake();
    // What could not be written is gone, and what an fsync failed for is unknown (reliability D9).
    await this.#spool?.end(wrong || isNotSpooled ? 'discard' : 'keep');
  }

  #end(end: FlightEnd): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#settings.onEnd(end);
  }

  /** Closes the spool when neither the flight nor a client reads it any more. */
  async #releaseUnused(): Promise<void> {
    if (this.#isFlying || this.#readers.contents > 0) return;
    const spool = this.#spool;
    this.#spool = undefined;
    await spool?.close();
  }
}

/** Whether bytes that came are not those of the blob, so that none of them is kept. */
function isWrong(error: unknown): boolean {
  if (isTartletError(error, 'DIGEST_MISMATCH', 'RANGE_BROKEN')) return true;
  return isTartletError(error, 'SIZE_MISMATCH') && error.facts.retryable !== true;
}
