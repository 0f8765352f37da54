import type { ByteRange } from '../fs/disk/read-range.ts';

/** Neighbouring bytes of one kind; `hole`: zeros, and nothing has to be read to know it. */
export interface Extent extends ByteRange {
  readonly kind: 'data' | 'hole';
}

/**
 * What can be read as a disk. What is asked for lies within its size. Several may ask at once, and each gets its answer
 * when it is there: who waits does not keep others waiting.
 */
export interface BlockDevice {
  /** Bytes. */
  readonly size: number;
  /** What a range consists of: in order, without gaps, and nothing beyond it. Known at once, without any network. */
  extents(range: ByteRange): Promise<readonly Extent[]>;
  /**
   * Waits until all of a range can be read here. It may take as long as it takes.
   * @param signal aborted when the answer is not wanted any more.
   */
  ready(range: ByteRange, signal: AbortSignal): Promise<void>;
  /** The bytes of a range that is ready. */
  read(range: ByteRange, signal: AbortSignal): Promise<Uint8Array>;
}

/** A device under the name by which clients ask for it. */
export interface NamedDevice {
  /** May be empty: then it is what a client gets that names none. */
  readonly name: string;
  readonly device: BlockDevice;
}
