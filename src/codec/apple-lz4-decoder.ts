// More than 250 lines, because it is one state machine over one stream, whose states share all fields; a cut would show
// them to another file.
import { TartletError } from '../errors.ts';
import { corrupt, HEADER_BYTES, HISTORY_BYTES, MAGIC } from './apple-lz4-format.ts';
import type { ChunkDecoder, ChunkDecoderOptions, DecodedSink, ResumePoint, StreamPosition } from './chunk-decoder.ts';
import { type DecoderWorkspace, plainBackend } from './lz4-backend.ts';
import { enlarge, type Memory } from './memory.ts';

/** A block that declares more is refused before memory is found for it; Apple's have 64 KiB (tart-formats §5.5). */
const MAX_BLOCK_BYTES = 16 * 1024 * 1024;

/**
 * Output is tested for zeros in granules of this many bytes, counted from the start of the chunk, whatever its blocks
 * are.
 */
const GRANULE_BYTES = 64 * 1024;

/**
 * Granules of one kind are handed out together up to this many bytes: the size that suits disks (performance.md §4).
 */
const PIECE_BYTES = 256 * 1024;

/** Decodes Apple's LZ4 stream, the encoding of Tart's disk chunks (tart-formats §5). One stream, then it is spent. */
export class AppleLz4Decoder implements ChunkDecoder {
  readonly #expected: number;
  readonly #deliver: DecodedSink;

  readonly #space: DecoderWorkspace;

  /** Encoded bytes gathered before decoding. Grows when a block is larger, as its bytes arrive. */
  #input: Memory;
  /** `#input[0, #held)` is taken, but not decoded. */
  #held = 0;
  #consumed = 0;

  /**
   * History, what is not handed out yet, and room for the next blocks; grows for a larger block once all of it is here.
   * `#output[0, #filled)` is decoded; at least the last {@link HISTORY_BYTES} stay for matches to reach into.
   */
  #output: Memory;
  #filled = 0;
  #decoded = 0;
  /** `#output[#pending, #tested)` is all zero, or no granule of it is, and waits to be handed out. */
  #pending = 0;
  #pendingZero = false;
  #tested = 0;

  #boundary: StreamPosition = { encoded: 0, decoded: 0 };
  #ended = false;
  /** Whatever stopped the decoder; a box, because anything can be thrown. */
  #failure: { readonly error: unknown } | undefined;

  constructor(options: ChunkDecoderOptions) {
    // Comparing with NaN is never true: it would switch the limit off.
    if (!Number.isSafeInteger(options.expectedBytes) || options.expectedBytes < 0) {
      throw new TartletError('INTERNAL', `a chunk cannot have ${options.expectedBytes} bytes`);
    }
    this.#expected = options.expectedBytes;
    this.#deliver = options.onOutput;
    this.#space = options.workspace ?? plainBackend.decoderWorkspace();
    this.#input = this.#space.input;
    this.#output = this.#space.output;
    if (options.resume !== undefined) this.#resume(options.resume);
  }

  #resume({ encoded, decoded, history }: ResumePoint): void {
    const needed = Math.min(decoded, HISTORY_BYTES);
    if (history.length !== needed || decoded > this.#expected) {
      throw new TartletError(
        'INTERNAL',
        `a chunk cannot go on at byte ${decoded} with ${history.length} bytes before it`,
      );
    }
    this.#output.bytes.set(history);
    this.#filled = needed;
    this.#pending = needed;
    this.#tested = needed;
    this.#consumed = encoded;
    this.#decoded = decoded;
    this.#boundary = { encoded, decoded };
  }

  get boundary(): StreamPosition {
    return this.#boundary;
  }

  get decodedBytes(): number {
    return this.#decoded;
  }

  get consumedBytes(): number {
    return this.#consumed;
  }

  push(encoded: Uint8Array): void {
    this.#orFail(() => {
      for (let from = 0; from < encoded.length; ) {
        const take = Math.min(encoded.length - from, this.#input.bytes.length - this.#held);
        this.#input.bytes.set(encoded.subarray(from, from + take), this.#held);
        this.#held += take;
        this.#consumed += take;
        from += take;
        this.#decodeHeld();
      }
    });
  }

  finish(): void {
    this.#orFail(() => {
      if (!this.#ended) throw corrupt(this.#consumed, 'it is cut short, its end marker is missing');
      if (this.#decoded !== this.#expected) {
        throw new TartletError(
          'SIZE_MISMATCH',
          `the LZ4 stream decodes to ${this.#decoded} bytes instead of ${this.#expected}`,
          { expected: String(this.#expected), found: String(this.#decoded) },
        );
      }
    });
  }

  #orFail(work: () => void): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    try {
      work();
    } catch (error) {
      this.#failure = { error };
      throw error;
    }
  }

  /** Decodes all blocks that are here completely, and moves the rest to the front. */
  #decodeHeld(): void {
    let from = 0;
    let wanted = 0;
    while (from < this.#held) {
      const length = this.#blockLength(from);
      if (length > this.#held - from) {
        wanted = length;
        break;
      }
      this.#decode(from, length);
      from += length;
    }
    this.#input.bytes.copyWithin(0, from, this.#held);
    this.#held -= from;
    // Grows step by step, so that memory is never more than twice what arrived, whatever a header claims.
    const size = this.#input.bytes.length;
    if (this.#held === size) this.#input = enlarge(this.#input, size, Math.min(wanted, 2 * size));
  }

  /**
   * Bytes of the block at `from`, header included, as far as the bytes that are here tell: more than are here, or
   * exact. All that a header claims is checked here, by 53-bit arithmetic (reliability C1, C4).
   */
  #blockLength(from: number): number {
    const here = this.#held - from;
    const { view } = this.#input;
    const position = this.#positionOf(from);
    if (this.#ended) throw corrupt(position, 'bytes follow its end marker');
    if (here < HEADER_BYTES.end) return HEADER_BYTES.end;
    const magic = view.getUint32(from, true);
    switch (magic) {
      case MAGIC.end:
        return HEADER_BYTES.end;
      case MAGIC.stored: {
        if (here < HEADER_BYTES.stored) return HEADER_BYTES.stored;
        const size = view.getUint32(from + 4, true);
        this.#checkSize(size, position);
        return HEADER_BYTES.stored + size;
      }
      case MAGIC.compressed: {
        if (here < HEADER_BYTES.compressed) return HEADER_BYTES.compressed;
        const size = view.getUint32(from + 4, true);
        const payload = view.getUint32(from + 8, true);
        this.#checkSize(size, position);
        checkPayload(size, payload, position);
        return HEADER_BYTES.compressed + payload;
      }
      default:
        throw corrupt(position, `a block cannot begin with 0x${magic.toString(16).padStart(8, '0')}`);
    }
  }

  #checkSize(size: number, position: number): void {
    if (size === 0) throw corrupt(position, 'a block declares 0 bytes');
    if (size > MAX_BLOCK_BYTES) {
      throw corrupt(position, `a block declares ${size} bytes, the limit is ${MAX_BLOCK_BYTES}`);
    }
    if (size > this.#expected - this.#decoded) {
      throw new TartletError(
        'SIZE_MISMATCH',
        `the LZ4 stream decodes to more than ${this.#expected} bytes: at byte ${position} begins a block ` +
          `of ${size} after ${this.#decoded}`,
        { expected: String(this.#expected) },
      );
    }
  }

  /** Decodes the block at `from`, whose header is checked and which is here completely. */
  #decode(from: number, length: number): void {
    const { view, bytes } = this.#input;
    const magic = view.getUint32(from, true);
    if (magic === MAGIC.end) {
      this.#ended = true;
      this.#test(this.#filled);
      this.#handOut();
      return;
    }
    const size = view.getUint32(from + 4, true);
    this.#makeRoomForOutput(size);
    const end = this.#filled + size;
    if (magic === MAGIC.stored) {
      this.#output.bytes.set(bytes.subarray(from + HEADER_BYTES.stored, from + length), this.#filled);
    } else {
      const payload = from + HEADER_BYTES.compressed;
      const origin = this.#positionOf(0);
      this.#space.decodeBlock(this.#input, payload, from + length, this.#output, this.#filled, end, origin);
    }
    this.#filled = end;
    this.#decoded += size;
    while (this.#filled - this.#tested >= GRANULE_BYTES) this.#test(this.#tested + GRANULE_BYTES);
    if (this.#pending === this.#filled) {
      this.#boundary = { encoded: this.#positionOf(from + length), decoded: this.#decoded };
    }
  }

  /** Tests one granule, up to `end`, and lets it wait with its like. */
  #test(end: number): void {
    const zero = this.#space.isZero(this.#output, this.#tested, end);
    if (zero !== this.#pendingZero) this.#handOut();
    this.#pendingZero = zero;
    this.#tested = end;
    if (this.#tested - this.#pending >= PIECE_BYTES) this.#handOut();
  }

  #handOut(): void {
    if (this.#pending === this.#tested) return;
    const piece = this.#output.bytes.subarray(this.#pending, this.#tested);
    this.#pending = this.#tested;
    this.#deliver(piece, this.#pendingZero);
  }

  /** Moves what is still needed to the front when the next `size` bytes do not fit: the history and what waits. */
  #makeRoomForOutput(size: number): void {
    if (this.#filled + size <= this.#output.bytes.length) return;
    const from = Math.max(0, Math.min(this.#filled - HISTORY_BYTES, this.#pending));
    this.#output.bytes.copyWithin(0, from, this.#filled);
    this.#filled -= from;
    this.#pending -= from;
    this.#tested -= from;
    if (this.#filled + size > this.#output.bytes.length) {
      this.#output = enlarge(this.#output, this.#filled, this.#filled + size);
    }
  }

  #positionOf(index: number): number {
    return this.#consumed - this.#held + index;
  }
}

/** No encoder makes a block larger than its bound, and no payload byte can stand for more than 255 bytes. */
function checkPayload(size: number, payload: number, position: number): void {
  const bound = size + Math.floor(size / 255) + 16;
  if (payload > bound || size > 255 * payload) {
    throw corrupt(position, `a block cannot decode ${payload} bytes to ${size}`);
  }
}
