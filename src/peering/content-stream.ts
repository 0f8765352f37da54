import { AppleLz4Decoder } from '../codec/apple-lz4-decoder.ts';
import type { DecodedSink } from '../codec/chunk-decoder.ts';
import type { DecoderWorkspace } from '../codec/lz4-backend.ts';
import { TartletError } from '../errors.ts';

/*
 * A content on the wire between peers: records, one after the other, until all of the content was said.
 *
 *     zeros    32 bits, little endian: so many bytes of zeros come first; nothing of them is sent
 *     data     32 bits: then so many bytes of data, at most DATA_BYTES
 *     encoded  32 bits: which take so many bytes here: an Apple LZ4 stream of its own (tart-formats §5)
 *
 * Each record can be decoded without those before it, so that a stream begins at any byte of the content.
 */

/** The media type of such a stream; another format gets another one. */
export const CONTENT_STREAM = 'application/vnd.tartlet.content.v1';

/** Bytes of the head of a record. */
const RECORD_BYTES = 12;

/** Bytes of data in a record at most. */
export const DATA_BYTES = 1024 * 1024;

/** What LZ4 may add to bytes that do not compress: a head for each block, and the end. */
const MOST_OVERHEAD = 1024;

const ZEROS = new Uint8Array(256 * 1024);

/** The head of a record. */
export function recordHead(zeros: number, data: number, encoded: number): Uint8Array {
  const head = Buffer.alloc(RECORD_BYTES);
  head.writeUInt32LE(zeros, 0);
  head.writeUInt32LE(data, 4);
  head.writeUInt32LE(encoded, 8);
  return head;
}

/** What a decoder of a stream is made from. */
export interface ContentDecoderOptions {
  /** Bytes of content from where the stream begins to its end; not one more is ever handed out. */
  readonly expectedBytes: number;
  readonly onOutput: DecodedSink;
  readonly workspace: DecoderWorkspace;
}

/** A record whose data are on their way. */
interface OpenRecord {
  readonly decoder: AppleLz4Decoder;
  /** Encoded bytes that are still to come. */
  left: number;
}

/**
 * Decodes what a peer sends, as it comes. Nothing is believed: sizes are held to the content that is expected before
 * memory or time is spent on them.
 */
export class ContentDecoder {
  readonly #options: ContentDecoderOptions;
  readonly #head = Buffer.alloc(RECORD_BYTES);
  #headBytes = 0;
  #record: OpenRecord | undefined;
  #delivered = 0;

  constructor(options: ContentDecoderOptions) {
    this.#options = options;
  }

  /** Bytes of content that were handed out: another stream can go on there. */
  get delivered(): number {
    return this.#delivered;
  }

  /** Whether all of the content came. */
  get isWhole(): boolean {
    return this.#record === undefined && this.#delivered === this.#options.expectedBytes;
  }

  /**
   * Takes what came, split anywhere.
   * @throws TartletError `CHUNK_CORRUPT`, `SIZE_MISMATCH` for a stream that is none, and what the sink throws.
   */
  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      at += this.#record === undefined ? this.#takeHead(bytes, at) : this.#takeData(this.#record, bytes, at);
    }
  }

  #takeHead(bytes: Uint8Array, at: number): number {
    if (this.isWhole) throw corrupt('it goes on behind its end');
    const take = Math.min(RECORD_BYTES - this.#headBytes, bytes.length - at);
    this.#head.set(bytes.subarray(at, at + take), this.#headBytes);
    this.#headBytes += take;
    if (this.#headBytes < RECORD_BYTES) return take;
    this.#headBytes = 0;
    const [zeros, data, encoded] = [this.#head.readUInt32LE(0), this.#head.readUInt32LE(4), this.#head.readUInt32LE(8)];
    this.#begin(zeros, data, encoded);
    return take;
  }

  #begin(zeros: number, data: number, encoded: number): void {
    if (data > DATA_BYTES || encoded > data + MOST_OVERHEAD) throw corrupt('a record is larger than any may be');
    if ((data === 0) !== (encoded === 0)) throw corrupt('a record contradicts itself');
    if (zeros + data === 0) throw corrupt('a record says nothing');
    if (zeros + data > this.#options.expectedBytes - this.#delivered) throw corrupt('it is longer than its content');
    for (let done = 0; done < zeros; done += ZEROS.length) {
      this.#deliver(ZEROS.subarray(0, Math.min(ZEROS.length, zeros - done)), true);
    }
    if (data === 0) return;
    const decoder = new AppleLz4Decoder({
      expectedBytes: data,
      onOutput: (bytes, isZero) => this.#deliver(bytes, isZero),
      workspace: this.#options.workspace,
    });
    this.#record = { left: encoded, decoder };
  }

  #deliver(bytes: Uint8Array, isZero: boolean): void {
    this.#options.onOutput(bytes, isZero);
    this.#delivered += bytes.length;
  }

  #takeData(record: OpenRecord, bytes: Uint8Array, at: number): number {
    const take = Math.min(record.left, bytes.length - at);
    record.decoder.push(bytes.subarray(at, at + take));
    record.left -= take;
    if (record.left > 0) return take;
    record.decoder.finish();
    this.#record = undefined;
    return take;
  }
}

function corrupt(why: string): TartletError {
  return new TartletError('CHUNK_CORRUPT', `what a peer sends is no stream of a content: ${why}`);
}
