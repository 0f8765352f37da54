/**
 * Takes decoded bytes in order. `bytes` is a view of memory that is reused: it is valid only during the call.
 * `zero` says that every byte of it is zero, so that a sparse file needs no write.
 */
export type DecodedSink = (bytes: Uint8Array, zero: boolean) => void;

export interface ChunkDecoderOptions {
  /** Bytes that the chunk decodes to, from its descriptor; not one more is ever handed out. */
  readonly expectedBytes: number;
  readonly onOutput: DecodedSink;
}

/**
 * Decodes one chunk as it arrives. Synchronous, so that it can run in a worker; the seam at which another kernel
 * (e.g. WebAssembly) can take the place of {@link AppleLz4Decoder}.
 */
export interface ChunkDecoder {
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
