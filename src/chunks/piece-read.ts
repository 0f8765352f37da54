import { AppleLz4Decoder } from '../codec/apple-lz4-decoder.ts';
import { MAGIC } from '../codec/apple-lz4-format.ts';
import { TartletError } from '../errors.ts';
import { Digest } from '../names/digest.ts';
import type { BlobIdentity } from '../oci/descriptor.ts';
import type { ChunkPieces, Piece } from '../oci/piece-index.ts';
import type { BlobFetcher } from '../registry/contract.ts';
import { withDecoder } from './lz4-backend.ts';

/** One piece of a chunk, decoded and verified. */
export interface ReadPiece {
  readonly piece: Piece;
  /** The caller's own: it is not used again. */
  readonly bytes: Uint8Array;
}

/** Which pieces of a chunk are read, and how. */
export interface PieceReadOptions {
  /** Number of the first piece. */
  readonly first: number;
  /** Number of the last piece, which is read as well. */
  readonly last: number;
  readonly signal: AbortSignal;
  /** Told the length of what comes over the wire. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

const STREAM_END = new Uint8Array(4);
new DataView(STREAM_END.buffer).setUint32(0, MAGIC.end, true);

/**
 * Pieces of a chunk that follow each other, in order, each handed out when it was decoded and its digest compared.
 * Zeros are not fetched; what follows each other without zeros is one request. It keeps two MiB.
 *
 * @throws TartletError `DIGEST_MISMATCH` or `CHUNK_CORRUPT` when a piece is not what the index says (the caller can
 * still read the chunk as a whole), and what the fetcher throws.
 */
export async function* readPieces(
  client: BlobFetcher,
  pieces: ChunkPieces,
  options: PieceReadOptions,
): AsyncGenerator<ReadPiece, void, undefined> {
  let run: Piece[] = [];
  for (let index = options.first; index <= options.last; index += 1) {
    const piece = pieces.piece(index);
    if (!piece.isZero) {
      run.push(piece);
      continue;
    }
    yield* readRun(client, pieces, run, options);
    run = [];
    yield { piece, bytes: new Uint8Array(piece.size) };
  }
  yield* readRun(client, pieces, run, options);
}

/** Pieces without zeros between them: one request. */
async function* readRun(
  client: BlobFetcher,
  { digest, size }: BlobIdentity,
  run: readonly Piece[],
  { signal, onBytes }: PieceReadOptions,
): AsyncGenerator<ReadPiece, void, undefined> {
  const [first, last] = [run.at(0), run.at(-1)];
  if (first === undefined || last === undefined) return;
  const gathering = new Gathering(run);
  const range = { from: first.from, to: last.to, signal, onBytes, transientChunks: true };
  for await (const bytes of client.blob({ digest, size }, range)) {
    for (const { piece, encoded } of gathering.take(bytes)) yield { piece, bytes: await decodePiece(piece, encoded) };
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

/** @throws TartletError `CHUNK_CORRUPT`, `SIZE_MISMATCH`, `DIGEST_MISMATCH` */
async function decodePiece(piece: Piece, encoded: Uint8Array): Promise<Uint8Array> {
  const bytes = new Uint8Array(piece.size);
  let filled = 0;
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
  const found = Digest.of(bytes);
  if (!found.equals(piece.contentDigest)) {
    const expected = piece.contentDigest.toString();
    throw new TartletError('DIGEST_MISMATCH', `piece ${piece.index} is damaged: it hashes to ${found.toString()}`, {
      subject: expected,
      expected,
      found: found.toString(),
    });
  }
  return bytes;
}
