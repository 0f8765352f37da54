import type { ByteRange } from '../../fs/disk/read-range.ts';
import { PIECE_BYTES } from '../../oci/piece-index.ts';
import type { DiskChunk } from '../../oci/tart-image.ts';

/** Units that follow each other, by their numbers; both ends belong to them. */
export interface UnitRange {
  readonly first: number;
  readonly last: number;
}

/** What is verified at once: a MiB of a chunk, or what is left of it behind the last whole one. */
export interface DiskUnit extends ByteRange {
  readonly chunk: DiskChunk;
  /** Its number in the chunk, which is that of its piece, where the chunk has pieces. */
  readonly piece: number;
}

/**
 * The units of a disk, numbered from its start to its end. They begin anew with each chunk, as pieces do, so that none
 * belongs to two.
 */
export class DiskUnits {
  readonly #chunks: readonly DiskChunk[];
  /** The number of each chunk's first unit, and behind the last the number of all. */
  readonly #firsts: Float64Array;

  /** @param chunks of the disk, in their order, without gaps. */
  constructor(chunks: readonly DiskChunk[]) {
    this.#chunks = chunks;
    this.#firsts = new Float64Array(chunks.length + 1);
    for (const [at, { size }] of chunks.entries()) {
      this.#firsts[at + 1] = (this.#firsts[at] ?? 0) + Math.ceil(size / PIECE_BYTES);
    }
  }

  /** How many there are. */
  get count(): number {
    return this.#firsts[this.#chunks.length] ?? 0;
  }

  /** Bytes of the disk. */
  get size(): number {
    const last = this.#chunks.at(-1);
    return last === undefined ? 0 : last.offset + last.size;
  }

  /** Those of a chunk of the disk. */
  of({ index }: DiskChunk): UnitRange {
    return { first: this.#firsts[index] ?? 0, last: (this.#firsts[index + 1] ?? 0) - 1 };
  }

  /** Those that a range touches; none for a range without bytes. */
  within({ offset, length }: ByteRange): UnitRange {
    if (!(length > 0 && offset >= 0)) return { first: 0, last: -1 };
    return { first: this.#at(offset), last: this.#at(offset + length - 1) };
  }

  /** @param number below {@link count}. */
  unit(number: number): DiskUnit {
    const index = lastThat(this.#chunks.length, (at) => (this.#firsts[at] ?? 0) <= number);
    const chunk = this.#chunks[index];
    if (chunk === undefined) throw new RangeError(`there is no unit ${number}`);
    const piece = number - (this.#firsts[index] ?? 0);
    const from = piece * PIECE_BYTES;
    return { chunk, piece, offset: chunk.offset + from, length: Math.min(PIECE_BYTES, chunk.size - from) };
  }

  #at(offset: number): number {
    const index = lastThat(this.#chunks.length, (at) => (this.#chunks[at]?.offset ?? 0) <= offset);
    const within = offset - (this.#chunks[index]?.offset ?? 0);
    return Math.min((this.#firsts[index] ?? 0) + Math.floor(within / PIECE_BYTES), this.count - 1);
  }
}

/** The last number from 0 below `count` for which something holds that holds for all before it, and for 0. */
function lastThat(count: number, holds: (at: number) => boolean): number {
  let [found, end] = [0, count];
  while (end - found > 1) {
    const middle = (found + end) >>> 1;
    if (holds(middle)) found = middle;
    else end = middle;
  }
  return found;
}
