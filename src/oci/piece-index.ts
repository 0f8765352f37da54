import { createHash } from 'node:crypto';
import type { TartletError } from '../errors.ts';
import { Digest } from '../names/digest.ts';
import { invalid } from './descriptor.ts';
import type { DiskChunk, DiskFile } from './disk-file.ts';

/*
 * Where the pieces of a disk are in its blobs, so that one MiB can be read and verified without the 512 around it. A
 * blob that has pieces is an ordinary one of Tart: no block refers to what is before its own piece, that is all. The
 * index is a blob of its own, named by an annotation of the manifest, so that the digest of the image covers it.
 *
 *     16 bytes   `tartlet.pieces.1`
 *      4 bytes   bytes of a piece after decoding, but for the last of a blob: 1 MiB
 *      4 bytes   how many blobs follow
 *     48 bytes   for each blob: SHA-256 of the blob (32), its bytes (8), bytes of its content (8)
 *     36 bytes   for each piece, in the order of the blobs: its bytes in the blob (4), SHA-256 of its content (32)
 *
 * Numbers are little-endian. The pieces of a blob follow each other without a gap; behind the last are the four bytes
 * that end the stream.
 */

/** Bytes of a piece after decoding; the last of a blob may have fewer. */
export const PIECE_BYTES = 1024 * 1024;
/** The most that is read as an index: that of a disk of 1.8 TB. */
const MAX_PIECE_INDEX_BYTES = 64 * 1024 * 1024;

const MAGIC = 'tartlet.pieces.1';
const HEADER_BYTES = 24;
const BLOB_BYTES = 48;
const ENTRY_BYTES = 36;
/** Behind the pieces of a blob: the end of its stream. */
const END_BYTES = 4;
/** The longest that a piece can be in a blob: 16 stored blocks with their headers. */
const MAX_ENCODED_BYTES = PIECE_BYTES + 16 * 8;
/** The shortest: bytes of a block's header, without any payload. */
const MIN_ENCODED_BYTES = 8;

/** One piece. */
export interface Piece {
  /** Its number in the chunk, from 0. */
  readonly index: number;
  /** Where its bytes belong in the decoded chunk. */
  readonly offset: number;
  /** Bytes after decoding. */
  readonly size: number;
  /** Its bytes of the blob are `[from, to)`. They decode without any other. */
  readonly from: number;
  readonly to: number;
  /** Of the decoded bytes. */
  readonly contentDigest: Digest;
  /** Whether it decodes to nothing but zeros: then it need not be fetched. */
  readonly isZero: boolean;
}

/** A blob that was encoded in pieces. */
export interface PiecedBlob {
  readonly digest: Digest;
  /** Bytes as stored. */
  readonly size: number;
  /** Bytes after decoding. */
  readonly contentSize: number;
  /** Its entries, as they stand in the index. */
  readonly entries: Uint8Array;
}

/** What an index says of one chunk. */
export class ChunkPieces implements PiecedBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly contentSize: number;
  readonly entries: Uint8Array;
  readonly #view: DataView;
  /** Where each piece begins in the blob. */
  readonly #starts: Float64Array;

  /** @throws TartletError `MANIFEST_INVALID` when the entries do not add up to the blob. */
  constructor({ digest, size, contentSize, entries }: PiecedBlob) {
    this.digest = digest;
    this.size = size;
    this.contentSize = contentSize;
    this.entries = entries;
    this.#view = new DataView(entries.buffer, entries.byteOffset, entries.byteLength);
    this.#starts = new Float64Array(this.count + 1);
    for (let index = 0; index < this.count; index += 1) {
      const bytes = this.#view.getUint32(index * ENTRY_BYTES, true);
      if (bytes < MIN_ENCODED_BYTES || bytes > MAX_ENCODED_BYTES) {
        throw invalidIndex(`piece ${index} of the blob ${digest.toString()} cannot have ${bytes} bytes`);
      }
      this.#starts[index + 1] = (this.#starts[index] ?? 0) + bytes;
    }
    const end = (this.#starts[this.count] ?? 0) + END_BYTES;
    if (end !== size) {
      throw invalidIndex(`the pieces of the blob ${digest.toString()} end at byte ${end}, the blob at ${size}`);
    }
  }

  /** How many pieces there are. */
  get count(): number {
    return pieceCount(this.contentSize);
  }

  /** @param index from 0, below {@link count}. */
  piece(index: number): Piece {
    const offset = index * PIECE_BYTES;
    const size = Math.min(PIECE_BYTES, this.contentSize - offset);
    const at = index * ENTRY_BYTES + 4;
    const contentDigest = Digest.sha256(Buffer.from(this.entries.subarray(at, at + 32)).toString('hex'));
    const isZero = contentDigest.hex === zeroHex(size);
    const [from, to] = [this.#starts[index] ?? 0, this.#starts[index + 1] ?? 0];
    return { index, offset, size, from, to, contentDigest, isZero };
  }

  /** The piece that holds a byte of the decoded chunk. @param position below {@link contentSize}. */
  pieceAt(position: number): Piece {
    return this.piece(Math.floor(position / PIECE_BYTES));
  }
}

/** The pieces of a disk, of those of its chunks that were encoded in pieces. */
export class PieceIndex {
  readonly #blobs: ReadonlyMap<string, ChunkPieces>;

  private constructor(blobs: ReadonlyMap<string, ChunkPieces>) {
    this.#blobs = blobs;
  }

  /**
   * Reads an index, whose digest was compared with what the manifest names. It must be of this disk: a blob that the
   * disk does not have, sizes that are not the manifest's, a byte too many or too few refuse all of it.
   * @throws TartletError `MANIFEST_INVALID`
   */
  static parse(bytes: Uint8Array, disk: DiskFile): PieceIndex {
    if (bytes.length < HEADER_BYTES || Buffer.from(bytes.subarray(0, 16)).toString('latin1') !== MAGIC) {
      throw invalidIndex('it does not begin like one');
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const pieceBytes = view.getUint32(16, true);
    if (pieceBytes !== PIECE_BYTES) throw invalidIndex(`it has pieces of ${pieceBytes} bytes`);
    const count = view.getUint32(20, true);
    let entriesAt = HEADER_BYTES + count * BLOB_BYTES;
    if (entriesAt > bytes.length) throw invalidIndex(`it is too short for ${count} blobs`);
    const chunks = new Map(disk.chunks.map((chunk) => [chunk.descriptor.digest.toString(), chunk]));
    const blobs = new Map<string, ChunkPieces>();
    for (let each = 0; each < count; each += 1) {
      const blob = parseBlob(bytes, view, HEADER_BYTES + each * BLOB_BYTES);
      const name = blob.digest.toString();
      const chunk = chunks.get(name);
      if (chunk?.descriptor.size !== blob.size || chunk.size !== blob.contentSize) {
        throw invalidIndex(`the disk has no blob ${name} of ${blob.size} bytes with ${blob.contentSize} in it`);
      }
      if (blobs.has(name)) throw invalidIndex(`it has the blob ${name} twice`);
      const end = entriesAt + pieceCount(blob.contentSize) * ENTRY_BYTES;
      if (end > bytes.length) throw invalidIndex('it is cut short');
      blobs.set(name, new ChunkPieces({ ...blob, entries: bytes.subarray(entriesAt, end) }));
      entriesAt = end;
    }
    if (entriesAt !== bytes.length) throw invalidIndex(`${bytes.length - entriesAt} bytes follow its end`);
    return new PieceIndex(blobs);
  }

  /** Undefined for a chunk that was not encoded in pieces: it is read as a whole. */
  of(chunk: DiskChunk): ChunkPieces | undefined {
    return this.#blobs.get(chunk.descriptor.digest.toString());
  }

  /** Everything that it tells, blob by blob. */
  get blobs(): Iterable<ChunkPieces> {
    return this.#blobs.values();
  }
}

/** Writes an index. @param chunks of SHA-256; of those that are one blob the first counts. */
export function formatPieceIndex(chunks: readonly PiecedBlob[]): Uint8Array {
  const blobs = [...new Map(chunks.toReversed().map((chunk) => [chunk.digest.hex, chunk])).values()].toReversed();
  const header = Buffer.alloc(HEADER_BYTES + blobs.length * BLOB_BYTES);
  header.write(MAGIC, 'latin1');
  header.writeUInt32LE(PIECE_BYTES, 16);
  header.writeUInt32LE(blobs.length, 20);
  for (const [index, { digest, size, contentSize }] of blobs.entries()) {
    const at = HEADER_BYTES + index * BLOB_BYTES;
    header.write(digest.hex, at, 'hex');
    header.writeBigUInt64LE(BigInt(size), at + 32);
    header.writeBigUInt64LE(BigInt(contentSize), at + 40);
  }
  return Buffer.concat([header, ...blobs.map(({ entries }) => entries)]);
}

/** The entry of one piece. @param encodedBytes in the blob. @param content SHA-256 of what it decodes to, 32 bytes. */
export function pieceEntry(encodedBytes: number, content: Uint8Array): Uint8Array {
  const entry = Buffer.alloc(ENTRY_BYTES);
  entry.writeUInt32LE(encodedBytes);
  entry.set(content, 4);
  return entry;
}

/** Bytes that an index of a disk has at the most: more are refused before they are fetched. */
export function largestPieceIndex(disk: DiskFile): number {
  const sizes = new Map(disk.chunks.map((chunk) => [chunk.descriptor.digest.toString(), chunk.size]));
  const bytes = [...sizes.values()].map((size) => BLOB_BYTES + pieceCount(size) * ENTRY_BYTES);
  return Math.min(
    MAX_PIECE_INDEX_BYTES,
    bytes.reduce((sum, each) => sum + each, HEADER_BYTES),
  );
}

function pieceCount(contentSize: number): number {
  return Math.ceil(contentSize / PIECE_BYTES);
}

function parseBlob(bytes: Uint8Array, view: DataView, at: number): Omit<PiecedBlob, 'entries'> {
  return {
    digest: Digest.sha256(Buffer.from(bytes.subarray(at, at + 32)).toString('hex')),
    size: Number(view.getBigUint64(at + 32, true)),
    contentSize: Number(view.getBigUint64(at + 40, true)),
  };
}

const zeroHexes = new Map<number, string>();

/** SHA-256 of so many zeros, in hex: of whole pieces, and of the ends of chunks, which have few lengths. */
export function zeroHex(size: number): string {
  const known = zeroHexes.get(size);
  if (known !== undefined) return known;
  const hex = createHash('sha256').update(Buffer.alloc(size)).digest('hex');
  // An image may have chunks of whatever lengths.
  if (zeroHexes.size < 64) zeroHexes.set(size, hex);
  return hex;
}

function invalidIndex(why: string): TartletError {
  return invalid('the piece index', `is not of this disk: ${why}`);
}
