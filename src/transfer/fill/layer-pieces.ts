import type { ChunkPieces, Piece } from '../../oci/piece-index.ts';

/** How far a piece is. */
export type PieceState =
  /** It has to be fetched. */
  | 'missing'
  /** An earlier pull says to have written it: it is hashed before it counts. */
  | 'candidate'
  | 'under-way'
  | 'verified';

/** At the most so many pieces that have to be fetched are one job: who waits for the last waits for all of them. */
const MOST_IN_JOB = 8;
/** At the most so many with zeros among them, which are not fetched. */
const MOST_WITH_ZEROS = 64;

/** How far a layer is that comes by its pieces. */
export class LayerPieces {
  readonly #pieces: ChunkPieces;
  readonly #states: PieceState[];
  #left: number;
  /** Bytes of the blob that need not be fetched any more. */
  encodedBytes = 0;

  /** @param candidates the numbers of pieces that an earlier pull says to have written. */
  constructor(pieces: ChunkPieces, candidates: (piece: number) => boolean) {
    this.#pieces = pieces;
    this.#states = Array.from({ length: pieces.count }, (_, piece) => (candidates(piece) ? 'candidate' : 'missing'));
    this.#left = pieces.count;
  }

  get isWhole(): boolean {
    return this.#left === 0;
  }

  piece(number: number): Piece {
    return this.#pieces.piece(number);
  }

  /** Undefined for a number that there is not. */
  state(piece: number): PieceState | undefined {
    return this.#states[piece];
  }

  /** Pieces that are missing, and zeros: on a disk that is zero there, nothing has to be done for them. */
  *missingZeros(): Generator<number> {
    for (let piece = 0; piece < this.#states.length; piece += 1) {
      if (this.#states[piece] === 'missing' && this.#pieces.piece(piece).isZero) yield piece;
    }
  }

  /** The first in a state. */
  find(state: PieceState): number | undefined {
    const found = this.#states.indexOf(state);
    return found < 0 ? undefined : found;
  }

  /**
   * Takes a missing piece and missing ones beside it, which are under way then.
   * @param mayTake which of those beside it. Default: those behind it.
   */
  take(piece: number, mayTake = (each: number): boolean => each >= piece): Piece[] {
    const isTaken = (each: number): boolean => this.#states[each] === 'missing' && mayTake(each);
    let first = piece;
    while (piece - first < MOST_IN_JOB - 1 && isTaken(first - 1)) first -= 1;
    const taken: Piece[] = [];
    let fetched = 0;
    for (let each = first; taken.length < MOST_WITH_ZEROS; each += 1) {
      if (each !== piece && !isTaken(each)) break;
      const next = this.#pieces.piece(each);
      if (!next.isZero) fetched += 1;
      if (fetched > MOST_IN_JOB) break;
      this.#states[each] = 'under-way';
      taken.push(next);
    }
    return taken;
  }

  set(piece: number, state: PieceState): void {
    const before = this.#states[piece];
    if (before === undefined || before === state) return;
    this.#states[piece] = state;
    if (state !== 'verified' && before !== 'verified') return;
    const change = state === 'verified' ? 1 : -1;
    this.#left -= change;
    const { from, to } = this.#pieces.piece(piece);
    this.encodedBytes += change * (to - from);
  }

  /** Nothing of it is believed any more: all of it is hashed again. */
  doubt(): void {
    for (let piece = 0; piece < this.#states.length; piece += 1) this.set(piece, 'candidate');
  }
}
