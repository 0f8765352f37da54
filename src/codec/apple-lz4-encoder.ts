import { TartletError } from '../errors.ts';
import { BLOCK_BYTES, HEADER_BYTES, MAGIC } from './apple-lz4-format.ts';
import { Lz4BlockEncoder } from './lz4-block-encoder.ts';
import { allocate, type Memory } from './memory.ts';
import { isZero } from './zero.ts';

/** Takes encoded bytes in order. The view is valid only during the call. */
export type EncodedSink = (bytes: Uint8Array) => void;

/**
 * Encodes bytes as Apple's LZ4 stream, in blocks of 64 KiB (tart-formats §5). The same input gives the same bytes, however it is
 * split: resuming a push depends on it. Blocks refer to the block before them, which is both smaller and faster than not to
 * (performance.md §1), but only to one that is compressed: nobody has seen Apple's own streams refer to a stored one (§5.2).
 */
export class AppleLz4Encoder {
  readonly #sink: EncodedSink;
  readonly #blocks = new Lz4BlockEncoder();

  /** The block before, then the block that is being gathered. */
  readonly #source = allocate(2 * BLOCK_BYTES);
  #gathered = 0;
  /** Where in `#source` the history begins that the next block may refer to. */
  #historyStart = BLOCK_BYTES;

  readonly #target = allocate(HEADER_BYTES.compressed + BLOCK_BYTES);
  #zeroBlock: Uint8Array | undefined;
  /** Set at the end, and when the sink throws: what followed would be a stream with a gap. */
  #spent = false;

  constructor(sink: EncodedSink) {
    this.#sink = sink;
  }

  /** Takes the next bytes, split anywhere; hands out each block as soon as it is full. Throws whatever the sink throws. */
  push(raw: Uint8Array): void {
    this.#refuseWhenSpent();
    for (let from = 0; from < raw.length; ) {
      const take = Math.min(raw.length - from, BLOCK_BYTES - this.#gathered);
      this.#source.bytes.set(raw.subarray(from, from + take), BLOCK_BYTES + this.#gathered);
      this.#gathered += take;
      from += take;
      if (this.#gathered === BLOCK_BYTES) this.#endBlock();
    }
  }

  /** Hands out what is left and the end marker. An input of nothing is the end marker alone. */
  finish(): void {
    this.#refuseWhenSpent();
    // Never an empty block: Vetu's reader takes one for the end (tart-formats §5.4).
    if (this.#gathered > 0) this.#endBlock();
    this.#target.view.setUint32(0, MAGIC.end, true);
    this.#emit(this.#target.bytes.subarray(0, HEADER_BYTES.end));
    this.#spent = true;
  }

  #refuseWhenSpent(): void {
    if (this.#spent) throw new TartletError('INTERNAL', 'an LZ4 stream was written to after its end or a failure');
  }

  #emit(bytes: Uint8Array): void {
    this.#spent = true;
    this.#sink(bytes);
    this.#spent = false;
  }

  #endBlock(): void {
    const size = this.#gathered;
    const { bytes } = this.#source;
    this.#gathered = 0;
    if (size === BLOCK_BYTES && isZero(bytes, BLOCK_BYTES)) {
      this.#historyStart = 0;
      this.#zeroBlock ??= encodeZeroBlock();
      this.#emit(this.#zeroBlock);
    } else {
      const end = this.#compress(size);
      this.#historyStart = end < 0 ? BLOCK_BYTES : 0;
      this.#emit(this.#target.bytes.subarray(0, end < 0 ? this.#store(size) : end));
    }
    bytes.copyWithin(0, BLOCK_BYTES);
    this.#blocks.slide(BLOCK_BYTES);
  }

  /** Returns the end of the compressed block in `#target`, or -1 when it is not smaller than a stored one. */
  #compress(size: number): number {
    const limit = HEADER_BYTES.stored + size - 1;
    const to = BLOCK_BYTES + size;
    const payload = HEADER_BYTES.compressed;
    const end = this.#blocks.encode(this.#source, this.#historyStart, BLOCK_BYTES, to, this.#target, payload, limit);
    if (end >= 0) writeHeader(this.#target, size, end - payload);
    return end;
  }

  #store(size: number): number {
    this.#target.view.setUint32(0, MAGIC.stored, true);
    this.#target.view.setUint32(4, size, true);
    this.#target.bytes.set(this.#source.bytes.subarray(BLOCK_BYTES, BLOCK_BYTES + size), HEADER_BYTES.stored);
    return HEADER_BYTES.stored + size;
  }
}

function writeHeader({ view }: Memory, size: number, payload: number): void {
  view.setUint32(0, MAGIC.compressed, true);
  view.setUint32(4, size, true);
  view.setUint32(8, payload, true);
}

/** A full block of zeros, made once: disks are full of them. It begins with a zero of its own, so it needs no history. */
function encodeZeroBlock(): Uint8Array {
  const payload = HEADER_BYTES.compressed;
  const target = allocate(payload + BLOCK_BYTES);
  const end = new Lz4BlockEncoder().encode(
    allocate(BLOCK_BYTES),
    0,
    0,
    BLOCK_BYTES,
    target,
    payload,
    target.bytes.length,
  );
  writeHeader(target, BLOCK_BYTES, end - payload);
  return target.bytes.slice(0, end);
}
