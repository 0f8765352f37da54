import type { DecoderWorkspace } from './lz4-backend.ts';

/**
 * Takes decoded bytes in order. `bytes` is a view of memory that is reused: it is valid only during the call.
 * `zero` says that every byte of it is zero, so that a sparse file needs no write.
 */
export type DecodedSink = (bytes: Uint8Array, zero: boolean) => void;

/**
 * A place between two blocks of a stream, by what is before it: bytes of the stream, and the bytes that they decode to.
 */
export interface StreamPosition {
  readonly encoded: number;
  readonly decoded: number;
}

/** Where an earlier decoder of the same stream had come to. */
export interface ResumePoint extends StreamPosition {
  /** What it decoded last: 64 KiB, or all of it when it was less. */
  readonly history: Uint8Array;
}

export interface ChunkDecoderOptions {
  /** Bytes that the chunk decodes to, from its descriptor; not one more is ever handed out. */
  readonly expectedBytes: number;
  readonly onOutput: DecodedSink;
  /** Belongs to this decoder until it has ended or failed. Which backend it is changes nothing but the speed. */
  readonly workspace?: DecoderWorkspace;
  /** Go on there instead of at the beginning. What came before is not handed out again. */
  readonly resume?: ResumePoint;
}

/**
 * Decodes one chunk as it arrives. Synchronous, so that it can run in a worker.
 */
export interface ChunkDecoder {
  /**
   * The last end of a block up to which everything was handed out: a caller that kept that much can go on here with
   * another decoder ({@link ChunkDecoderOptions.resume}). Moves every few blocks.
   */
  readonly boundary: StreamPosition;
  /** Bytes decoded so far; the last of them may not have been handed out yet. */
  readonly decodedBytes: number;
  /** Encoded bytes taken so far: where a download that broke goes on. */
  readonly consumedBytes: number;

  /**
   * Takes the next encoded bytes, split anywhere. After an error every further call throws the same error.
   *
   * @throws TartletError `CHUNK_CORRUPT`, `SIZE_MISMATCH` when the chunk would decode to more than `expectedBytes`, and
   *   whatever the sink throws.
   */
  push(encoded: Uint8Array): void;

  /**
   * Says that there are no more bytes. Everything decoded was handed out when this returns.
   *
   * @throws TartletError `CHUNK_CORRUPT` when the chunk is cut short, `SIZE_MISMATCH` when it decoded to less than
   *   `expectedBytes`.
   */
  finish(): void;
}
