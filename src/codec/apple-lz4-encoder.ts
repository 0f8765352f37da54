import { TartletError } from '../errors.ts';
import { BLOCK_BYTES, HEADER_BYTES, MAGIC } from './apple-lz4-format.ts';
import { type EncoderWorkspace, plainBackend } from './lz4-backend.ts';
import type { Memory } from './memory.ts';

/** Takes encoded bytes in order. The view is valid only during the call. */
export type EncodedSink = (bytes: Uint8Array) => void;

/**
 * Encodes bytes as Apple's LZ4 stream, in blocks of 64 KiB (tart-formats §5). The same input gives the same bytes,
 * however it is split: resuming a push depends on it. Blocks refer to the block before them, which is both smaller and
 * faster than not to (performance.md §1), but only to one that is compressed: no stream of Apple's own encoder was seen
 * to refer to a stored one (tart-formats §5.2).
 */
export class AppleLz4Encoder {
  readonly #sink: EncodedSink;
  /** Its source holds the block before, then the block that is being gathered. */
  readonly #space: EncoderWorkspace;
  #gathered = 0;
  /** Where in the source the history begins that the next block may refer to. */
  #historyStart = BLOCK_BYTES;
  /** After so many blocks one begins that refers to nothing before it. */
  readonly #blocksPerPiece: number;
  #blocks = 0;
  /** Set at the end, and when the sink throws: what followed would be a stream with a gap. */
  #spent = false;

  /**
   * @param space belongs to this encoder until it is finished. Which backend it is changes nothing but the speed.
   * @param pieceBytes whole blocks after which the stream can be read anew, without what was before; default: nowhere.
   *   Any reader of Apple's streams reads it: their own encoder makes blocks that refer to nothing before them as well.
   */
  constructor(
    sink: EncodedSink,
    space: EncoderWorkspace = plainBackend.encoderWorkspace(),
    pieceBytes: number = Number.POSITIVE_INFINITY,
  ) {
    this.#sink = sink;
    this.#space = space;
    this.#blocksPerPiece = pieceBytes / BLOCK_BYTES;
    space.reset();
  }

  /**
   * Takes the next bytes, split anywhere; hands out each block as soon as it is full. Throws whatever the sink throws.
   */
  push(raw: Uint8Array): void {
    this.#refuseWhenSpent();
    const { source } = this.#space;
    for (let from = 0; from < raw.length; ) {
      const take = Math.min(raw.length - from, BLOCK_BYTES - this.#gathered);
      source.bytes.set(raw.subarray(from, from + take), BLOCK_BYTES + this.#gathered);
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
    const { target } = this.#space;
    target.view.setUint32(0, MAGIC.end, true);
    this.#emit(target.bytes.subarray(0, HEADER_BYTES.end));
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
    const { source, target } = this.#space;
    this.#gathered = 0;
    if (size === BLOCK_BYTES && this.#space.isZero(BLOCK_BYTES, 2 * BLOCK_BYTES)) {
      this.#historyStart = 0;
      this.#emit(zeroBlock());
    } else {
      const end = this.#compress(size);
      this.#historyStart = end < 0 ? BLOCK_BYTES : 0;
      this.#emit(target.bytes.subarray(0, end < 0 ? this.#store(size) : end));
    }
    source.bytes.copyWithin(0, BLOCK_BYTES);
    this.#blocks += 1;
    if (this.#blocks % this.#blocksPerPiece === 0) this.#historyStart = BLOCK_BYTES;
  }

  /** Returns the end of the compressed block in the target, or -1 when it is not smaller than a stored one. */
  #compress(size: number): number {
    const limit = HEADER_BYTES.stored + size - 1;
    const to = BLOCK_BYTES + size;
    const payload = HEADER_BYTES.compressed;
    const end = this.#space.encodeBlock(this.#historyStart, BLOCK_BYTES, to, payload, limit);
    if (end >= 0) writeHeader(this.#space.target, size, end - payload);
    return end;
  }

  #store(size: number): number {
    const { source, target } = this.#space;
    target.view.setUint32(0, MAGIC.stored, true);
    target.view.setUint32(4, size, true);
    target.bytes.set(source.bytes.subarray(BLOCK_BYTES, BLOCK_BYTES + size), HEADER_BYTES.stored);
    return HEADER_BYTES.stored + size;
  }
}

function writeHeader({ view }: Memory, size: number, payload: number): void {
  view.setUint32(0, MAGIC.compressed, true);
  view.setUint32(4, size, true);
  view.setUint32(8, payload, true);
}

let encodedZeroBlock: Uint8Array | undefined;

/**
 * A full block of zeros, made once: disks are full of them. It begins with a zero of its own, so it needs no history.
 */
function zeroBlock(): Uint8Array {
  if (encodedZeroBlock === undefined) {
    const workspace = plainBackend.encoderWorkspace();
    const { target } = workspace;
    const payload = HEADER_BYTES.compressed;
    const end = workspace.encodeBlock(0, 0, BLOCK_BYTES, payload, target.bytes.length);
    writeHeader(target, BLOCK_BYTES, end - payload);
    encodedZeroBlock = target.bytes.slice(0, end);
  }
  return encodedZeroBlock;
}
