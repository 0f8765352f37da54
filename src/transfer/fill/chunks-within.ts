import type { ByteRange } from '../../fs/disk/read-range.ts';
import type { DiskChunk } from '../../oci/tart-image.ts';

/**
 * The chunks that a range of a disk touches.
 * @param chunks of the disk, in their order, without gaps.
 */
export function chunksWithin(chunks: readonly DiskChunk[], { offset, length }: ByteRange): readonly DiskChunk[] {
  let first = 0;
  for (let end = chunks.length; first < end; ) {
    const middle = (first + end) >>> 1;
    const chunk = chunks[middle];
    if (chunk !== undefined && chunk.offset + chunk.size <= offset) first = middle + 1;
    else end = middle;
  }
  let beyond = first;
  while ((chunks[beyond]?.offset ?? Number.POSITIVE_INFINITY) < offset + length) beyond += 1;
  return chunks.slice(first, beyond);
}
