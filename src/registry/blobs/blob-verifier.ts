import { createHash, type Hash } from 'node:crypto';
import { TartletError } from '../../errors.ts';
import type { Digest } from '../../names/digest.ts';

/**
 * Checks a blob while it streams: every byte goes through {@link update}, and {@link verdict} must be asked for at the
 * end, also when a decoder was satisfied earlier (reliability §1.2 trap 3). An error here never looks like the end of a
 * stream.
 */
export class BlobVerifier {
  #hash: Hash;
  readonly #digest: Digest;
  readonly #size: number;
  #seen = 0;

  /** `size` in bytes. */
  constructor(digest: Digest, size: number) {
    this.#digest = digest;
    this.#size = size;
    this.#hash = createHash(digest.algorithm);
  }

  /** Bytes seen so far. */
  get seen(): number {
    return this.#seen;
  }

  /** @throws TartletError `SIZE_MISMATCH` as soon as there are more bytes than the descriptor says. */
  update(piece: Uint8Array): void {
    this.#seen += piece.length;
    if (this.#seen > this.#size) throw this.#wrongSize(`at least ${this.#seen}`);
    this.#hash.update(piece);
  }

  /** Another one that has seen the same bytes: for what goes on from here in two ways. */
  copy(): BlobVerifier {
    const copy = new BlobVerifier(this.#digest, this.#size);
    copy.#hash = this.#hash.copy();
    copy.#seen = this.#seen;
    return copy;
  }

  /** Call once, after the last byte. @throws TartletError `SIZE_MISMATCH`, `DIGEST_MISMATCH` with both digests. */
  verdict(): void {
    if (this.#seen !== this.#size) throw this.#wrongSize(String(this.#seen));
    const found = `${this.#digest.algorithm}:${this.#hash.digest('hex')}`;
    const expected = this.#digest.toString();
    if (found !== expected) {
      throw new TartletError('DIGEST_MISMATCH', `blob ${expected} is damaged: its bytes hash to ${found}`, {
        subject: expected,
        expected,
        found,
      });
    }
  }

  #wrongSize(found: string): TartletError {
    const digest = this.#digest.toString();
    return new TartletError('SIZE_MISMATCH', `blob ${digest} has ${found} bytes instead of ${this.#size}`, {
      subject: digest,
      expected: String(this.#size),
      found,
    });
  }
}
