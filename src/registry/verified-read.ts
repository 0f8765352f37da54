import { isTartletError } from '../errors.ts';
import type { BlobIdentity } from '../oci/descriptor.ts';
import type { BlobFetcher } from './contract.ts';

/**
 * Reads a blob, and once more when what came was not the blob: what was damaged on the way is not damaged twice, and
 * what is damaged there is (reliability C1). As long as there is another place to ask, that place is asked instead, and
 * does not count.
 *
 * @param read throws `DIGEST_MISMATCH` or `SIZE_MISMATCH` for wrong bytes.
 * @param onAgain told before each further read.
 */
export async function untilVerified(
  client: BlobFetcher,
  blob: BlobIdentity,
  read: () => Promise<void>,
  onAgain: () => void,
): Promise<void> {
  for (let isLast = false; ; ) {
    try {
      await read();
      return;
    } catch (error) {
      if (!isTartletError(error, 'DIGEST_MISMATCH', 'SIZE_MISMATCH')) throw error;
      const isElsewhere = client.distrust?.(blob) ?? false;
      if (isLast && !isElsewhere) throw error;
      isLast = !isElsewhere;
      onAgain();
    }
  }
}
