import { createHash } from 'node:crypto';
import type { ByteRange } from '../../src/fs/disk/read-range.ts';
import type { BlockDevice, Extent } from '../../src/nbd/block-device.ts';

/** Bytes that differ everywhere, always the same for a seed. */
export function patternBytes(length: number, seed: string): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / 64) }, (_, at) =>
    createHash('sha512').update(`${seed} ${at}`).digest(),
  );
  return Buffer.concat(blocks).subarray(0, length);
}

/** A device of bytes in memory. Blocks of zeros are holes. Parts of it can be kept back, and broken. */
export class MemoryDevice implements BlockDevice {
  readonly size: number;
  readonly bytes: Buffer;
  /** What it was waited for, in order. */
  readonly waitedFor: ByteRange[] = [];
  /** Decides when a range is ready. */
  ready: BlockDevice['ready'] = async () => undefined;
  /** From here on nothing can be read. */
  brokenFrom = Number.POSITIVE_INFINITY;
  readonly #block: number;

  constructor(bytes: Buffer, block = 4096) {
    this.bytes = bytes;
    this.size = bytes.length;
    this.#block = block;
  }

  async extents({ offset, length }: ByteRange): Promise<readonly Extent[]> {
    const found: Extent[] = [];
    for (let at = offset; at < offset + length; ) {
      const end = Math.min(offset + length, (Math.floor(at / this.#block) + 1) * this.#block);
      const kind = this.bytes.subarray(at, end).every((byte) => byte === 0) ? 'hole' : 'data';
      const last = found.at(-1);
      if (last?.kind === kind) found[found.length - 1] = { ...last, length: last.length + end - at };
      else found.push({ kind, offset: at, length: end - at });
      at = end;
    }
    return found;
  }

  async read({ offset, length }: ByteRange): Promise<Uint8Array> {
    if (offset + length > this.brokenFrom) throw new Error('this part is broken');
    return Buffer.from(this.bytes.subarray(offset, offset + length));
  }
}
