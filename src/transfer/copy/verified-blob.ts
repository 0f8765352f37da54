import { createHash, type Hash } from 'node:crypto';
import { TartletError } from '../../errors.ts';
import type { Digest } from '../../names/digest.ts';
import type { BlobIdentity } from '../../oci/descriptor.ts';
import type { BlobSource } from '../../registry/client.ts';
import type { BlobFetcher } from '../../registry/contract.ts';

/**
 * A blob on its way from one registry into another, never in memory as a whole. Its last piece is held back until all
 * bytes hash to the digest: a blob that is damaged on the way never arrives complete, so no registry can store it,
 * however careless.
 */
export class VerifiedBlob implements BlobSource {
  readonly digest: Digest;
  readonly size: number;
  readonly #source: BlobFetcher;
  readonly #signal: AbortSignal;
  /**
   * The state of the hash at each place where a part ended, so that the next part, or a part that is repeated, goes on
   * from there.
   */
  readonly #hashes = new Map<number, Hash>();
  #failure: { readonly error: unknown } | undefined;

  constructor(source: BlobFetcher, blob: BlobIdentity, signal: AbortSignal) {
    this.digest = blob.digest;
    this.size = blob.size;
    this.#source = source;
    this.#signal = signal;
  }

  /** What was wrong with the source, when that is what ended the last upload. */
  get failure(): { readonly error: unknown } | undefined {
    return this.#failure;
  }

  /** Parts may be asked for in order, each as often as needed. */
  async *open(from: number, to: number): AsyncGenerator<Uint8Array, void, undefined> {
    this.#failure = undefined;
    const hash = from === 0 ? createHash(this.digest.algorithm) : this.#hashes.get(from)?.copy();
    if (hash === undefined) throw new TartletError('INTERNAL', `byte ${from} of a blob was asked for out of order`);
    const pieces = this.#source.blob(this, { from, to, signal: this.#signal })[Symbol.asyncIterator]();
    let held: Uint8Array | undefined;
    try {
      for (;;) {
        const next = await this.#orFail(async () => pieces.next());
        if (next.done === true) break;
        if (held !== undefined) yield held;
        hash.update(next.value);
        held = next.value;
      }
      if (to === this.size) await this.#orFail(() => this.#requireDigest(hash));
      else this.#hashes.set(to, hash);
      if (held !== undefined) yield held;
    } finally {
      await pieces.return?.();
    }
  }

  /** Notes what the source did wrong. A failure of the consumer of the pieces is not the source's. */
  async #orFail<T>(work: () => Promise<T> | T): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#failure = { error };
      // Of a kind that nothing between here and the caller repeats: the source was asked often enough.
      throw new TartletError('INTERNAL', 'the source of the upload failed', { cause: error });
    }
  }

  #requireDigest(hash: Hash): void {
    const expected = this.digest.toString();
    const found = `${this.digest.algorithm}:${hash.digest('hex')}`;
    if (found === expected) return;
    throw new TartletError('DIGEST_MISMATCH', `blob ${expected} is damaged at its source: its bytes hash to ${found}`, {
      subject: expected,
      expected,
      found,
      kept: 'nothing of it was stored, no tag was moved',
    });
  }
}
