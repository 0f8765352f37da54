import { AppleLz4Decoder } from '../codec/apple-lz4-decoder.ts';
import { MAGIC } from '../codec/apple-lz4-format.ts';
import { isTartletError, TartletError } from '../errors.ts';
import { notePieces } from '../home/chunk-journal.ts';
import { Digest } from '../names/digest.ts';
import type { BlobIdentity } from '../oci/descriptor.ts';
import type { ChunkPieces, Piece } from '../oci/piece-index.ts';
import type { BlobFetcher } from '../registry/contract.ts';
import { untilVerified } from '../registry/verified-read.ts';
import type { FetchContext } from './chunk-fetch.ts';
import type { PiecesJob, PiecesResult } from './chunk-job.ts';
import { DiskWindow, isZeroPiece } from './disk-window.ts';
import { withDecoder } from './lz4-backend.ts';

/** One piece of a chunk, decoded and verified. */
export interface ReadPiece {
  readonly piece: Piece;
  /** The caller's own: it is not used again. */
  readonly bytes: Uint8Array;
}

/** How pieces are read. */
export interface PieceReading {
  readonly signal: AbortSignal;
  /** Told the length of what comes over the wire. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/** Which pieces of a chunk are read, and how. */
export interface PieceReadOptions extends PieceReading {
  /** Number of the first piece. */
  readonly first: number;
  /** Number of the last piece, which is read as well. */
  readonly last: number;
}

const STREAM_END = new Uint8Array(4);
new DataView(STREAM_END.buffer).setUint32(0, MAGIC.end, true);

/**
 * Pieces of a chunk that follow each other, in order, each handed out when it was decoded and its digest compared.
 * Zeros are not fetched; what follows each other without zeros is one request. It keeps two MiB.
 *
 * @throws TartletError `DIGEST_MISMATCH` when a piece is not what the index says (the caller can still read the chunk
 * as a whole), and what the fetcher throws.
 */
export async function* readPieces(
  client: BlobFetcher,
  pieces: ChunkPieces,
  { first, last, ...how }: PieceReadOptions,
): AsyncGenerator<ReadPiece, void, undefined> {
  const wanted = Array.from({ length: last - first + 1 }, (_, at) => pieces.piece(first + at));
  yield* readThesePieces(client, pieces, wanted, how);
}

/** {@link readPieces} of pieces that the caller has; they follow each other. */
async function* readThesePieces(
  client: BlobFetcher,
  blob: BlobIdentity,
  pieces: readonly Piece[],
  how: PieceReading,
): AsyncGenerator<ReadPiece, void, undefined> {
  let run: Piece[] = [];
  for (const piece of pieces) {
    if (!piece.isZero) {
      run.push(piece);
      continue;
    }
    yield* readRun(client, blob, run, how);
    run = [];
    yield { piece, bytes: new Uint8Array(piece.size) };
  }
  yield* readRun(client, blob, run, how);
}

/** Pieces without zeros between them: one request. */
async function* readRun(
  client: BlobFetcher,
  { digest, size }: BlobIdentity,
  run: readonly Piece[],
  { signal, onBytes }: PieceReading,
): AsyncGenerator<ReadPiece, void, undefined> {
  const [first, last] = [run.at(0), run.at(-1)];
  if (first === undefined || last === undefined) return;
  const gathering = new Gathering(run);
  const range = { from: first.from, to: last.to, signal, onBytes, transientChunks: true };
  for await (const bytes of client.blob({ digest, size }, range)) {
    for (const { piece, encoded } of gathering.take(bytes)) {
      yield { piece, bytes: await decodePiece(digest, piece, encoded) };
    }
  }
}

/** Cuts a stream of bytes at the ends of pieces. */
class Gathering {
  readonly #left: Piece[];
  #encoded: Uint8Array;
  #filled = 0;

  constructor(run: readonly Piece[]) {
    this.#left = [...run];
    this.#encoded = spaceFor(run[0]);
  }

  /** What is whole with these bytes. To be used before more is asked for. */
  *take(bytes: Uint8Array): Generator<{ readonly piece: Piece; readonly encoded: Uint8Array }> {
    for (let done = 0; done < bytes.length; ) {
      const part = bytes.subarray(done, done + this.#encoded.length - this.#filled);
      this.#encoded.set(part, this.#filled);
      this.#filled += part.length;
      done += part.length;
      if (this.#filled < this.#encoded.length) return;
      const piece = this.#left.shift();
      if (piece === undefined) return;
      yield { piece, encoded: this.#encoded };
      this.#encoded = spaceFor(this.#left[0]);
      this.#filled = 0;
    }
  }
}

function spaceFor(piece: Piece | undefined): Uint8Array {
  return new Uint8Array(piece === undefined ? 0 : piece.to - piece.from);
}

/** @throws TartletError `DIGEST_MISMATCH` */
async function decodePiece(blob: Digest, piece: Piece, encoded: Uint8Array): Promise<Uint8Array> {
  const bytes = new Uint8Array(piece.size);
  let filled = 0;
  try {
    await withDecoder(async (workspace) => {
      const onOutput = (decoded: Uint8Array): void => {
        bytes.set(decoded, filled);
        filled += decoded.length;
      };
      const decoder = new AppleLz4Decoder({ expectedBytes: piece.size, onOutput, workspace });
      decoder.push(encoded);
      decoder.push(STREAM_END);
      decoder.finish();
    });
  } catch (error) {
    // Whether bytes were changed on the way or made wrong cannot be told of a part of a blob: the digest is not theirs.
    if (!isTartletError(error, 'CHUNK_CORRUPT', 'SIZE_MISMATCH')) throw error;
    throw damaged(blob, piece, { reason: error.message, found: undefined });
  }
  const found = Digest.of(bytes);
  if (!found.equals(piece.contentDigest)) {
    throw damaged(blob, piece, { reason: `it hashes to ${found.toString()}`, found: found.toString() });
  }
  return bytes;
}

function damaged(
  blob: Digest,
  { index, contentDigest }: Piece,
  { reason, found }: { readonly reason: string; readonly found: string | undefined },
): TartletError {
  return new TartletError('DIGEST_MISMATCH', `piece ${index} of the blob ${blob.toString()} is damaged: ${reason}`, {
    subject: blob.toString(),
    expected: contentDigest.toString(),
    found,
  });
}

/** Zeros within a piece stay holes in units of so many bytes, as they do in a chunk that comes as a whole. */
const HOLE_BYTES = 64 * 1024;

/** What the work on pieces needs beside its job. */
export interface PiecesContext extends FetchContext {
  /** Told of each piece that is on the disk, and verified, by its number. */
  readonly onPiece: (index: number) => void;
}

/**
 * Brings pieces of a chunk to their places on the disk. What was damaged on the way is fetched once more, and elsewhere
 * as long as there is another place, from the piece on that was wrong.
 *
 * @throws TartletError `DIGEST_MISMATCH`, `SIZE_MISMATCH`, `DISK_*`, and whatever the registry client throws. What was
 * told before stays on the disk.
 */
export async function fetchPieces(job: PiecesJob, context: PiecesContext): Promise<PiecesResult> {
  const blob = { digest: Digest.parse(job.blob.digest), size: job.blob.size };
  const left = job.pieces.map((piece): Piece => ({ ...piece, contentDigest: Digest.parse(piece.contentDigest) }));
  const mark = job.mark === undefined ? undefined : notePieces(job.mark);
  /** Bytes that came since the last piece that was right. */
  let came = 0;
  const onBytes = (bytes: number): void => {
    came += bytes;
    context.onBytes(bytes);
  };
  const read = async (): Promise<void> => {
    const window = new DiskWindow(job.disk, job.offsets, job.contentSize, job.fresh, left[0]?.offset);
    try {
      const how = { signal: context.signal, onBytes };
      for await (const { piece, bytes } of readThesePieces(context.client, blob, [...left], how)) {
        write(window, bytes);
        mark?.note(piece.index);
        left.shift();
        if (!piece.isZero) came -= piece.to - piece.from;
        context.onPiece(piece.index);
      }
    } finally {
      window.close();
    }
  };
  try {
    await untilVerified(context.client, blob, read, () => {
      context.onBytes(-came);
      came = 0;
    });
  } finally {
    mark?.close();
  }
  return { kind: 'pieces' };
}

function write(window: DiskWindow, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += HOLE_BYTES) {
    const part = bytes.subarray(at, at + HOLE_BYTES);
    window.write(part, isZeroPiece(part));
  }
}
