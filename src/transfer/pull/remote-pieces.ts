import { readPieces } from '../../chunks/piece-read.ts';
import { describeError } from '../../errors.ts';
import { type ChunkPieces, PIECE_BYTES, type PieceIndex } from '../../oci/piece-index.ts';
import type { DiskChunk, FlatImage } from '../../oci/tart-image.ts';
import type { BlobFetcher } from '../../registry/contract.ts';
import type { Session } from '../../session/session.ts';
import { fetchPieceIndex, isUnusablePiece } from '../piece-index-fetch.ts';

/** So many pieces are kept decoded, of a MiB each: what reads a file system comes back to its tables. */
const KEPT_PIECES = 16;

/**
 * Reads parts of a disk that lies in a registry, piece by piece, where its image has an index of them. Each piece is
 * verified before a byte of it is handed out. What is wrong with one is told once, and the caller reads its layer.
 */
export class RemotePieces {
  readonly #image: FlatImage;
  readonly #subject: string;
  readonly #client: BlobFetcher;
  readonly #session: Pick<Session, 'signal' | 'emit'>;
  #index: Promise<PieceIndex | undefined> | undefined;
  /** Layers with a piece that is wrong, by the digest of the blob. */
  readonly #wrong = new Set<string>();
  /** By blob and number, that first which was used least recently. */
  readonly #kept = new Map<string, Uint8Array>();

  /** @param subject the image as its user calls it. */
  constructor(
    image: FlatImage,
    { subject, client, session }: { subject: string; client: BlobFetcher; session: Pick<Session, 'signal' | 'emit'> },
  ) {
    this.#image = image;
    this.#subject = subject;
    this.#client = client;
    this.#session = session;
  }

  /**
   * Fills `target` with what stands at `position` of a chunk.
   * @returns false when that cannot be done by pieces: `target` may have been written to.
   * @throws TartletError what the registry client throws.
   */
  async read(chunk: DiskChunk, position: number, target: Uint8Array): Promise<boolean> {
    this.#index ??= this.#fetchIndex();
    const pieces = (await this.#index)?.of(chunk);
    const blob = chunk.descriptor.digest.toString();
    if (pieces === undefined || this.#wrong.has(blob)) return false;
    try {
      await this.#fill(pieces, position, target);
      return true;
    } catch (error) {
      if (!isUnusablePiece(error)) throw error;
      this.#wrong.add(blob);
      this.#tell(`a piece of the layer ${blob} cannot be used (${error.message}): the whole layer is fetched`);
      return false;
    }
  }

  /** Tried once more with the next read when the network fails. */
  async #fetchIndex(): Promise<PieceIndex | undefined> {
    try {
      const { signal } = this.#session;
      return await fetchPieceIndex(this.#client, this.#image, { signal, onBytes: (count) => this.#count(count) });
    } catch (error) {
      this.#index = undefined;
      if (!isUnusablePiece(error)) throw error;
      this.#tell(`the piece index cannot be used (${describeError(error)}): whole layers are fetched`);
      this.#index = Promise.resolve(undefined);
      return undefined;
    }
  }

  async #fill(pieces: ChunkPieces, position: number, target: Uint8Array): Promise<void> {
    const [first, last] = [position, position + target.length - 1].map((at) => Math.floor(at / PIECE_BYTES));
    if (first === undefined || last === undefined) return;
    const put = (index: number, bytes: Uint8Array): void => {
      const at = index * PIECE_BYTES - position;
      target.set(bytes.subarray(Math.max(0, -at), Math.min(bytes.length, target.length - at)), Math.max(0, at));
    };
    for (let index = first; index <= last; ) {
      const kept = this.#use(pieces, index);
      if (kept !== undefined) {
        put(index, kept);
        index += 1;
        continue;
      }
      let end = index;
      while (end < last && !this.#kept.has(keyOf(pieces, end + 1))) end += 1;
      const { signal } = this.#session;
      const run = { first: index, last: end, signal, onBytes: (count: number) => this.#count(count) };
      for await (const { piece, bytes } of readPieces(this.#client, pieces, run)) {
        put(piece.index, bytes);
        this.#keep(pieces, piece.index, bytes);
      }
      index = end + 1;
    }
  }

  #use(pieces: ChunkPieces, index: number): Uint8Array | undefined {
    const bytes = this.#kept.get(keyOf(pieces, index));
    if (bytes !== undefined) this.#keep(pieces, index, bytes);
    return bytes;
  }

  #keep(pieces: ChunkPieces, index: number, bytes: Uint8Array): void {
    const key = keyOf(pieces, index);
    this.#kept.delete(key);
    this.#kept.set(key, bytes);
    const [oldest] = this.#kept.keys();
    if (oldest !== undefined && this.#kept.size > KEPT_PIECES) this.#kept.delete(oldest);
  }

  #count(count: number): void {
    this.#session.emit({ kind: 'bytes', subject: this.#subject, count });
  }

  #tell(what: string): void {
    this.#session.emit({ kind: 'note', subject: this.#subject, text: `${this.#subject}: ${what}` });
  }
}

function keyOf({ digest }: ChunkPieces, index: number): string {
  return `${digest.hex} ${index}`;
}
