import { TartletError } from '../errors.ts';

/*
 * The framing of Apple's LZ4 stream (tart-formats §5.1): blocks, each with a magic and its sizes as little-endian
 * 32-bit numbers. No stream header, no checksum, no total size.
 */

/** First four bytes of a block, as the number they are in little-endian order. */
export const MAGIC = {
  /** `bv41`, uncompressed size, compressed size, then a raw LZ4 block. */
  compressed: 0x31347662,
  /** `bv4-`, size, then the bytes themselves. */
  stored: 0x2d347662,
  /** `bv4$`: the end of the stream. */
  end: 0x24347662,
} as const;

/** Bytes before the payload. */
export const HEADER_BYTES = { compressed: 12, stored: 8, end: 4 } as const;

/** Uncompressed bytes of every block that Apple's encoder and ours write, but for the last (tart-formats §5.2). */
export const BLOCK_BYTES = 64 * 1024;

/** How far back a match may reach across blocks: offsets have 16 bits (tart-formats §5.3). */
export const HISTORY_BYTES = 64 * 1024;

/** A damaged stream, or one that was made wrong. @param byte where in the stream, from 0. */
export function corrupt(byte: number, what: string): TartletError {
  return new TartletError('CHUNK_CORRUPT', `the LZ4 stream is broken at byte ${byte}: ${what}`);
}
