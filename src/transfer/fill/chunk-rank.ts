import { BOOT_UNIT_BYTES, type BootOrder } from '../../oci/boot-order.ts';
import type { DiskChunk } from '../../oci/tart-image.ts';
import { chunksWithin } from './chunks-within.ts';

/**
 * Which chunks a boot order touches, and which of them before which.
 *
 * @param chunks of a disk, in their order.
 * @returns the rank of a chunk by its first touch, the first being 0; infinity for one that it does not touch.
 */
export function rankOfChunks(chunks: readonly DiskChunk[], order: BootOrder): (chunk: DiskChunk) => number {
  const ranks = new Map<DiskChunk, number>();
  for (const unit of order) {
    for (const chunk of chunksWithin(chunks, { offset: unit * BOOT_UNIT_BYTES, length: BOOT_UNIT_BYTES }))
      if (!ranks.has(chunk)) ranks.set(chunk, ranks.size);
  }
  return (chunk) => ranks.get(chunk) ?? Number.POSITIVE_INFINITY;
}
