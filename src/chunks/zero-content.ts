import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { DiskChunk } from '../oci/tart-image.ts';
import { PIECE_BYTES } from './disk-window.ts';

/** LZ4 shrinks zeros to a 239th in Tart's blocks; what did not shrink so far has something in it. */
const ZERO_SHRINKAGE = 100;

/** Zeros beyond this are simply fetched: to hash them would take longer than a plan may take. */
const LONGEST_ZEROS = 1024 ** 3;

const ZEROS = new Uint8Array(PIECE_BYTES);

/**
 * Which contents are nothing but zeros, as texts of their digests. Found by hashing zeros, once for all lengths that
 * occur, and only for chunks so small in the registry that they may be zeros.
 */
export async function zeroContents(chunks: readonly DiskChunk[], signal: AbortSignal): Promise<ReadonlySet<string>> {
  const suspects = chunks.filter(
    ({ size, descriptor, contentDigest }) =>
      contentDigest.algorithm === 'sha256' && size <= LONGEST_ZEROS && descriptor.size * ZERO_SHRINKAGE <= size,
  );
  const sizes = [...new Set(suspects.map(({ size }) => size))].sort((a, b) => a - b);
  const zeros = await digestsOfZeros(sizes, signal);
  return new Set(suspects.map((chunk) => chunk.contentDigest.toString()).filter((content) => zeros.has(content)));
}

/** @param sizes ascending: each digest goes on from the one before. */
async function digestsOfZeros(sizes: readonly number[], signal: AbortSignal): Promise<ReadonlySet<string>> {
  const hash = createHash('sha256');
  const digests = new Set<string>();
  let hashed = 0;
  for (const size of sizes) {
    for (let turn = 1; hashed < size; turn += 1) {
      const step = Math.min(PIECE_BYTES, size - hashed);
      hash.update(ZEROS.subarray(0, step));
      hashed += step;
      if (turn % 32 === 0) await setImmediate();
      signal.throwIfAborted();
    }
    digests.add(`sha256:${hash.copy().digest('hex')}`);
  }
  return digests;
}
