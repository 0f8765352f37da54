import { TartletError } from '../errors.ts';
import type { Digest } from '../names/digest.ts';

/**
 * A registry does not have blobs that a manifest names, whatever it said when it was asked for them (reliability Q16).
 */
export class BlobsUnknownError extends TartletError {
  /** Those that it named; none when it did not say which. */
  readonly blobs: readonly Digest[];

  constructor(refusal: TartletError, blobs: readonly Digest[]) {
    super(refusal.code, refusal.message, refusal.facts);
    this.blobs = blobs;
  }
}
