import { isDeepStrictEqual } from 'node:util';
import { AppleLz4Decoder } from '../../src/codec/apple-lz4-decoder.ts';
import { AppleLz4Encoder } from '../../src/codec/apple-lz4-encoder.ts';
import { type DecoderWorkspace, type EncoderWorkspace, plainBackend } from '../../src/codec/lz4-backend.ts';
import { TartletError } from '../../src/errors.ts';
import { lz4Backend } from '../../src/chunks/lz4-backend.ts';

/*
 * Apple streams by hand, and a second reading of the format that shares no code with the product: slow, plain, for
 * comparison. Whatever is encoded or decoded here goes through both backends, and must give the same: every test of a
 * stream is a test of both.
 */

const fast = lz4Backend();
if (fast.kind !== 'webassembly') throw new Error('dist/lz4.wasm is missing: build first');

/** One after the other in the same memory, as workers do it. */
const workspaces = {
  decoders: [plainBackend.decoderWorkspace(), fast.decoderWorkspace()],
  encoders: [plainBackend.encoderWorkspace(), fast.encoderWorkspace()],
} as const;

export const END = Buffer.from('bv4$');

export function stored(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from('bv4-'), u32(bytes.length), bytes]);
}

/** A compressed block that declares `size` bytes; its own payload size unless told otherwise. */
export function compressed(size: number, payload: Uint8Array, payloadSize = payload.length): Buffer {
  return Buffer.concat([Buffer.from('bv41'), u32(size), u32(payloadSize), payload]);
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export interface Block {
  readonly kind: 'bv41' | 'bv4-';
  readonly size: number;
  readonly payload: Buffer;
}

/** The blocks of a well-formed stream. */
export function blocksOf(stream: Buffer): Block[] {
  const blocks: Block[] = [];
  for (let at = 0; ; ) {
    const magic = stream.toString('latin1', at, at + 4);
    if (magic === 'bv4$' && at + 4 === stream.length) return blocks;
    if (magic !== 'bv41' && magic !== 'bv4-') throw new Error(`not a block: ${magic}`);
    const size = stream.readUInt32LE(at + 4);
    const start = magic === 'bv41' ? at + 12 : at + 8;
    const end = start + (magic === 'bv41' ? stream.readUInt32LE(at + 8) : size);
    blocks.push({ kind: magic, size, payload: stream.subarray(start, end) });
    at = end;
  }
}

export interface Match {
  /** Position in the block's output where the match is written. */
  readonly at: number;
  readonly offset: number;
  readonly length: number;
}

/** The matches of a well-formed raw block, and how many literals follow the last. */
export function matchesOf(payload: Buffer): { readonly matches: Match[]; readonly lastLiterals: number } {
  const matches: Match[] = [];
  let read = 0;
  let written = 0;
  const lengthFrom = (nibble: number): number => {
    let length = nibble;
    for (let more = nibble === 15 ? 255 : 0; more === 255; ) {
      more = payload.readUInt8(read++);
      length += more;
    }
    return length;
  };
  for (;;) {
    const token = payload.readUInt8(read++);
    const literals = lengthFrom(token >> 4);
    read += literals;
    written += literals;
    if (read === payload.length) return { matches, lastLiterals: literals };
    const offset = payload.readUInt16LE(read);
    read += 2;
    const length = lengthFrom(token & 15) + 4;
    matches.push({ at: written, offset, length });
    written += length;
  }
}

export function encode(raw: Uint8Array, cuts: readonly number[] = []): Buffer {
  const [plain, other] = workspaces.encoders.map((workspace) => encodeIn(workspace, raw, cuts));
  if (plain === undefined || other?.equals(plain) !== true) throw new Error('the backends encode differently');
  return plain;
}

function encodeIn(workspace: EncoderWorkspace, raw: Uint8Array, cuts: readonly number[]): Buffer {
  const parts: Buffer[] = [];
  const encoder = new AppleLz4Encoder((bytes) => parts.push(Buffer.from(bytes)), workspace);
  for (const piece of cut(raw, cuts)) encoder.push(piece);
  encoder.finish();
  return Buffer.concat(parts);
}

export interface Piece {
  readonly bytes: Buffer;
  readonly zero: boolean;
}

export interface Decoding {
  readonly pieces: readonly Piece[];
  readonly output: Buffer;
  readonly error: unknown;
}

/** Decodes as far as it goes; fails at once when a piece says that it is zero and is not, or the other way round. */
export function tryDecode(stream: Uint8Array, expectedBytes: number, cuts: readonly number[] = []): Decoding {
  const [plain, other] = workspaces.decoders.map((workspace) => tryDecodeIn(workspace, stream, expectedBytes, cuts));
  if (plain === undefined || !isDeepStrictEqual(plain, other)) throw new Error('the backends decode differently');
  return plain;
}

function tryDecodeIn(
  workspace: DecoderWorkspace,
  stream: Uint8Array,
  expectedBytes: number,
  cuts: readonly number[],
): Decoding {
  const pieces: Piece[] = [];
  let error: unknown;
  try {
    const decoder = new AppleLz4Decoder({
      workspace,
      expectedBytes,
      onOutput: (bytes, zero) => {
        if (zero !== bytes.every((byte) => byte === 0)) throw new Error(`a piece says zero: ${zero}, and lies`);
        pieces.push({ bytes: Buffer.from(bytes), zero });
      },
    });
    for (const piece of cut(stream, cuts)) decoder.push(piece);
    decoder.finish();
  } catch (thrown) {
    error = thrown;
  }
  return { pieces, output: Buffer.concat(pieces.map(({ bytes }) => bytes)), error };
}

export function decode(stream: Uint8Array, expectedBytes: number, cuts: readonly number[] = []): Buffer {
  const { output, error } = tryDecode(stream, expectedBytes, cuts);
  if (error === undefined) return output;
  throw error instanceof Error ? error : new Error('not an error was thrown', { cause: error });
}

/** What the decoder says to a stream that it must refuse. */
export function refusal(
  stream: Uint8Array,
  expectedBytes: number,
): { readonly code: string; readonly message: string } {
  const { error } = tryDecode(stream, expectedBytes);
  if (!(error instanceof TartletError)) throw new Error('the stream was not refused', { cause: error });
  return { code: error.code, message: error.message };
}

/** `bytes` in pieces, cut at positions that may repeat, come in any order and lie outside. */
export function cut(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const borders = [0, ...cuts.filter((at) => at <= bytes.length).sort((a, b) => a - b), bytes.length];
  return borders.slice(1).map((to, index) => bytes.subarray(borders[index], to));
}
