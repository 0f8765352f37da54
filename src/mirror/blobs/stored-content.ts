import { TartletError } from '../../errors.ts';
import type { Digest } from '../../names/digest.ts';
import { BlobVerifier } from '../../registry/blobs/blob-verifier.ts';
import type { Content } from '../../server/contract/content.ts';
import type { BlobContent } from './contract.ts';

/** A stored blob that is open, once for all who read it. */
export interface OpenBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly content: Promise<Content | undefined>;
  readers: number;
  /** Its file is not what its name says: nothing more of it is given. */
  isDamaged: boolean;
  /**
   * Whether its bytes are what they were, as far as this process knows: not `unknown` when it stored them itself. The
   * first client that reads a blob from its beginning to its end has it checked on the way.
   */
  check: 'unknown' | 'under way' | 'done';
}

/** What the reader of a stored blob tells. */
export interface StoredListener {
  readonly onServed: (bytes: number) => void;
  /** The disk does not give the blob, or gives another. */
  readonly onDamaged: () => Promise<void>;
  readonly onChecked: () => void;
  readonly onClosed: () => Promise<void>;
}

/** A stored blob for one client. */
export class StoredContent implements BlobContent {
  readonly #open: OpenBlob;
  readonly #content: Content;
  readonly #listener: StoredListener;
  /** Of the one that checks. */
  #verifier: BlobVerifier | undefined;
  #isClosed = false;

  constructor(open: OpenBlob, content: Content, listener: StoredListener) {
    this.#open = open;
    this.#content = content;
    this.#listener = listener;
  }

  get size(): number {
    return this.#open.size;
  }

  async read(buffer: Buffer, position: number): Promise<number> {
    try {
      if (position === 0 && this.#open.check === 'unknown') this.#beginCheck();
      const count = await this.#content.read(buffer, position);
      this.#checkOn(buffer.subarray(0, count), position);
      if (this.#open.isDamaged) throw damaged(this.#open.digest);
      this.#listener.onServed(count);
      return count;
    } catch (error) {
      // What was read while the client went says nothing of the disk.
      if (!this.#isClosed) {
        this.#open.isDamaged = true;
        await this.#listener.onDamaged();
      }
      throw error;
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#endCheck();
    await this.#listener.onClosed();
  }

  #beginCheck(): void {
    this.#open.check = 'under way';
    this.#verifier = new BlobVerifier(this.#open.digest, this.#open.size);
  }

  /** The last bytes are given when the whole is right. @throws TartletError `STORE_DAMAGED` */
  #checkOn(bytes: Buffer, position: number): void {
    const verifier = this.#verifier;
    if (verifier === undefined) return;
    if (position !== verifier.seen) {
      this.#endCheck();
      return;
    }
    verifier.update(bytes);
    if (verifier.seen < this.#open.size) return;
    this.#verifier = undefined;
    try {
      verifier.verdict();
    } catch (cause) {
      throw damaged(this.#open.digest, cause);
    }
    this.#open.check = 'done';
    this.#listener.onChecked();
  }

  /** It is left to the next client. */
  #endCheck(): void {
    if (this.#verifier === undefined) return;
    this.#verifier = undefined;
    this.#open.check = 'unknown';
  }
}

function damaged(digest: Digest, cause?: unknown): TartletError {
  return new TartletError('STORE_DAMAGED', `stored blob ${digest.toString()} is damaged on the disk`, {
    subject: digest.toString(),
    kept: 'nothing of it: it is fetched again when it is asked for next',
    cause,
  });
}
