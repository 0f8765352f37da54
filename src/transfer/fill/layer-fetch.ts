import type { FetchJob, PiecesJob, VerifyJob } from '../../chunks/chunk-job.ts';
import type { ChunkPieces, Piece } from '../../oci/piece-index.ts';
import { PIECE_BYTES } from '../../oci/piece-index.ts';
import type { DiskChunk } from '../../oci/tart-image.ts';
import { LayerPieces } from './layer-pieces.ts';

/** How a layer comes. */
export type LayerState =
  /** Nothing of it has been begun. */
  | { readonly kind: 'untouched' }
  /** As a whole. `stop` ends that; undefined until it has begun. */
  | { readonly kind: 'whole'; readonly stop: (() => void) | undefined }
  /** As a whole no more: it goes on by pieces as soon as that has ended. */
  | { readonly kind: 'stopping' }
  | { readonly kind: 'pieces'; readonly pieces: LayerPieces }
  | { readonly kind: 'done' };

/** What is fetched for a disk: one blob, wherever it belongs. */
export class LayerFetch {
  /** That fetches all of it. */
  job: FetchJob;
  readonly chunks: readonly DiskChunk[];
  /** Pieces that an earlier pull says to have written. */
  readonly noted: ReadonlySet<number>;
  state: LayerState = { kind: 'untouched' };
  /** Whether its places on the disk are known to be zero, but for pieces that are verified. */
  isFresh: boolean;
  /** How often all of its pieces were there, and the whole was not what its digest says. */
  failedChecks = 0;

  constructor(job: FetchJob, chunks: readonly DiskChunk[], noted: ReadonlySet<number> = new Set()) {
    this.job = job;
    this.chunks = chunks;
    this.isFresh = job.fresh;
    this.noted = noted;
  }

  /** Whether it can be stopped when it comes as a whole, and what came be used. */
  get isStoppable(): boolean {
    return this.job.mark !== undefined;
  }

  /** Ends what brings it as a whole, as soon as that can be. */
  stop(): void {
    if (this.state.kind !== 'whole' || this.state.stop === undefined || !this.isStoppable) return;
    const { stop } = this.state;
    this.state = { kind: 'stopping' };
    stop();
  }

  /**
   * Goes on by pieces.
   * @param decodedBytes so many bytes of its content are said to be in their place.
   */
  bringByPieces(index: ChunkPieces, decodedBytes: number): LayerPieces {
    const isCandidate = (piece: number): boolean =>
      this.isStoppable &&
      (this.noted.has(piece) || Math.min((piece + 1) * PIECE_BYTES, index.contentSize) <= decodedBytes);
    const pieces = new LayerPieces(index, isCandidate);
    this.state = { kind: 'pieces', pieces };
    return pieces;
  }

  piecesJob(pieces: readonly Piece[]): PiecesJob {
    const { blob, contentSize, disk, offsets, mark } = this.job;
    const texts = pieces.map((piece) => ({ ...piece, contentDigest: piece.contentDigest.toString() }));
    return { kind: 'pieces', blob, contentSize, pieces: texts, disk, offsets, fresh: this.isFresh, mark };
  }

  /** Hashes one piece where it should be. */
  verifyJob({ contentDigest, size, offset }: Piece): VerifyJob {
    const { disk, offsets } = this.job;
    const at = (offsets[0] ?? 0) + offset;
    return { kind: 'verify', contentDigest: contentDigest.toString(), contentSize: size, disk, offset: at };
  }

  /** Hashes all of it where it should be. */
  checkJob(): VerifyJob {
    const { disk, offsets, contentDigest, contentSize } = this.job;
    return { kind: 'verify', contentDigest, contentSize, disk, offset: offsets[0] ?? 0 };
  }
}
