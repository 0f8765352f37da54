import { createHash } from 'node:crypto';
import { TartletError } from '../errors.ts';

/** Hash algorithms of the OCI image spec that we verify, with the length of their hex text. */
const HEX_LENGTH = { sha256: 64, sha512: 128 } as const;

/** The algorithms of digests that OCI registers. */
export type DigestAlgorithm = keyof typeof HEX_LENGTH;

const LOWER_HEX = /^[0-9a-f]+$/;

/**
 * A content digest in its only legal spelling: a known algorithm, a colon, lower-case hex of exactly the right length
 * (OCI image spec, descriptor § digests). A digest often becomes part of a path: nothing but this class may build one,
 * so that `sha256:../../x` cannot exist (reliability S19).
 */
export class Digest {
  readonly algorithm: DigestAlgorithm;
  readonly hex: string;

  private constructor(algorithm: DigestAlgorithm, hex: string) {
    this.algorithm = algorithm;
    this.hex = hex;
  }

  /** @throws TartletError `DIGEST_MALFORMED` that names what is wrong with it. */
  static parse(text: string): Digest {
    const colon = text.indexOf(':');
    const algorithm = text.slice(0, Math.max(colon, 0));
    const hex = text.slice(colon + 1);
    if (algorithm !== 'sha256' && algorithm !== 'sha512') {
      throw malformed(
        text,
        colon < 0 ? 'there is no algorithm before a colon' : 'only sha256 and sha512 are supported',
      );
    }
    if (hex.length !== HEX_LENGTH[algorithm]) {
      throw malformed(text, `${algorithm} has ${HEX_LENGTH[algorithm]} hex digits, this has ${hex.length}`);
    }
    if (!LOWER_HEX.test(hex)) throw malformed(text, 'the hex digits must be 0-9 and a-f, in lower case');
    return new Digest(algorithm, hex);
  }

  /** Like {@link parse}, with undefined for whatever is not a digest. */
  static tryParse(text: string): Digest | undefined {
    try {
      return Digest.parse(text);
    } catch {
      return undefined;
    }
  }

  /** The digest of bytes that are all in memory. */
  static of(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
    return new Digest(algorithm, createHash(algorithm).update(bytes).digest('hex'));
  }

  /** The digest of bytes that come in pieces, and how many they are. @throws what `pieces` throws. */
  static async ofPieces(
    pieces: AsyncIterable<Uint8Array>,
    algorithm: DigestAlgorithm = 'sha256',
  ): Promise<{ readonly digest: Digest; readonly size: number }> {
    const hash = createHash(algorithm);
    let size = 0;
    for await (const piece of pieces) {
      hash.update(piece);
      size += piece.length;
    }
    return { digest: new Digest(algorithm, hash.digest('hex')), size };
  }

  /** From the 64 hex digits that Node's hashes print. @throws TartletError `DIGEST_MALFORMED` */
  static sha256(hex: string): Digest {
    return Digest.parse(`sha256:${hex}`);
  }

  /** Whether both are of one algorithm and one value. */
  equals(other: Digest): boolean {
    return this.algorithm === other.algorithm && this.hex === other.hex;
  }

  /** `sha256:<64 hex>` */
  toString(): string {
    return `${this.algorithm}:${this.hex}`;
  }

  /** The text, so that JSON shows a digest as programs know it. */
  toJSON(): string {
    return this.toString();
  }
}

function malformed(text: string, why: string): TartletError {
  const shown = text.length > 90 ? `${text.slice(0, 80)}…` : text;
  return new TartletError('DIGEST_MALFORMED', `"${shown}" is not a digest: ${why}`, {
    subject: shown,
    next: { kind: 'write-digest' },
  });
}
