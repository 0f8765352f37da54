import { decodeBlock } from './lz4-block-decoder.ts';
import { Lz4BlockTable, encodeBlock } from './lz4-block-encoder.ts';
import { BLOCK_BYTES, HEADER_BYTES } from './apple-lz4-format.ts';
import { allocate, type Memory } from './memory.ts';
import { isZero } from './zero.ts';

/*
 * What every byte of a disk goes through, in two implementations with the same results: WebAssembly where it can be
 * had, TypeScript everywhere. The streams around it are the same code for both. A workspace serves one stream after the
 * other, so that memory is found once; nothing of an earlier stream can come out of it, because matches are held to
 * what the present one has written.
 */

/** Which implementation this is. */
export type BackendKind = 'webassembly' | 'typescript';

export interface Lz4Backend {
  readonly kind: BackendKind;
  decoderWorkspace(): DecoderWorkspace;
  encoderWorkspace(): EncoderWorkspace;
}

/** Memory to decode a stream in, and what works there. */
export interface DecoderWorkspace {
  readonly kind: BackendKind;
  /** Of {@link INPUT_BYTES}. A caller that needs more allocates its own memory, which works as well. */
  readonly input: Memory;
  /** Of {@link OUTPUT_BYTES}. */
  readonly output: Memory;
  /**
   * See `decodeBlock` of `lz4-block-decoder.ts`, whose errors these are. Up to 31 bytes behind `output[end]` may be
   * written.
   */
  decodeBlock(input: Memory, from: number, to: number, output: Memory, at: number, end: number, origin: number): void;
  /** Whether all of `memory[from, to)` are zero. */
  isZero(memory: Memory, from: number, to: number): boolean;
}

/** Memory to encode a stream in, and what works there. */
export interface EncoderWorkspace {
  readonly kind: BackendKind;
  /** Two blocks: the one before, and the one to be encoded. */
  readonly source: Memory;
  /** Room for a block with its header. */
  readonly target: Memory;
  /** Forgets what earlier blocks contained: a new stream begins. */
  reset(): void;
  /** Encodes `source[from, to)` into `target[at, limit)`; see `encodeBlock` of `lz4-block-encoder.ts`. */
  encodeBlock(historyStart: number, from: number, to: number, at: number, limit: number): number;
  /** Whether all of `source[from, to)` are zero. */
  isZero(from: number, to: number): boolean;
}

/** Encoded bytes gathered before decoding: a few blocks, or one that cannot be compressed. */
export const INPUT_BYTES = 256 * 1024;

/** History, what is not handed out yet, and room for the next blocks. */
export const OUTPUT_BYTES = 1024 * 1024;

export const SOURCE_BYTES = 2 * BLOCK_BYTES;
export const TARGET_BYTES = HEADER_BYTES.compressed + BLOCK_BYTES;

/** Works everywhere, at a fifth of the speed. */
export const plainBackend: Lz4Backend = {
  kind: 'typescript',
  decoderWorkspace: () => ({
    kind: 'typescript',
    input: allocate(INPUT_BYTES),
    output: allocate(OUTPUT_BYTES),
    decodeBlock,
    isZero: ({ bytes }, from, to) => isZero(bytes, from, to),
  }),
  encoderWorkspace: () => {
    const source = allocate(SOURCE_BYTES);
    const target = allocate(TARGET_BYTES);
    const table = new Lz4BlockTable();
    return {
      kind: 'typescript',
      source,
      target,
      reset: () => table.reset(),
      encodeBlock: (historyStart, from, to, at, limit) =>
        encodeBlock(table, source, historyStart, from, to, target, at, limit),
      isZero: (from, to) => isZero(source.bytes, from, to),
    };
  },
};
