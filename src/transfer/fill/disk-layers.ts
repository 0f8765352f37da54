import { TartletError } from '../../errors.ts';
import type { ChunkJournal } from '../../home/chunk-journal.ts';
import type { ChunkPieces, PieceIndex } from '../../oci/piece-index.ts';
import type { DiskChunk } from '../../oci/tart-image.ts';
import type { DiskFill } from './disk-fill.ts';
import type { LayerFetch } from './layer-fetch.ts';
import type { LayerPieces } from './layer-pieces.ts';

/** Whether a guest waits for the disk from the beginning on, and what of it is fetched meanwhile. */
export type GuestFill =
  /** Everything, what it waits for first. */
  | 'everything'
  /** Nothing but what it waits for. */
  | 'waited-for';

export interface DiskLayersOptions {
  /** Default: nothing is waited for. */
  readonly fill?: DiskFill | undefined;
  readonly journal: ChunkJournal;
  /** Loads the piece index. Undefined, or gives undefined: there is none, and layers come as a whole. */
  readonly pieces?: (() => Promise<PieceIndex | undefined>) | undefined;
  /** Default: it is not known that a guest waits, until one does. */
  readonly guest?: GuestFill | undefined;
  /** So many bytes of a layer need not be fetched any more. */
  readonly onUnderWay: (layer: LayerFetch, bytes: number) => void;
  /** A layer that was begun has to come again, at least in part. */
  readonly onStopped: (layer: LayerFetch) => void;
}

/** A layer that comes by its pieces. */
export interface OfLayer {
  readonly layer: LayerFetch;
  readonly pieces: LayerPieces;
}

type IndexState =
  | { readonly kind: 'unasked' }
  | { readonly kind: 'asked' }
  | { readonly kind: 'here'; readonly index: PieceIndex }
  | { readonly kind: 'none' };

/**
 * How the layers of a disk come: as a whole, or by pieces. A layer that comes as a whole writes what is not verified
 * yet, so one that comes by pieces never does both: where something waits for a piece of a layer under way, that is
 * stopped first.
 */
export class DiskLayers {
  readonly all: readonly LayerFetch[];
  /** Of which all pieces are there, and the whole is still to be hashed. */
  readonly toCheck: OfLayer[] = [];
  readonly #options: DiskLayersOptions;
  readonly #layerOf: ReadonlyMap<DiskChunk, LayerFetch>;
  readonly #putOff = new Set<LayerFetch>();
  readonly #listeners = new Set<() => void>();
  readonly #ignore: (() => void) | undefined;
  #index: IndexState;
  #isByPieces: boolean;

  constructor(all: readonly LayerFetch[], options: DiskLayersOptions) {
    const { fill, pieces, guest } = options;
    this.all = all;
    this.#options = options;
    this.#layerOf = new Map(all.flatMap((layer) => layer.chunks.map((chunk) => [chunk, layer])));
    this.#index = { kind: pieces === undefined ? 'none' : 'unasked' };
    this.#isByPieces = guest !== undefined;
    this.#ignore = fill?.onChange(() => this.adapt());
  }

  /** Loads what has to be known before the first job. */
  async begin(): Promise<void> {
    if (this.#isByPieces || this.all.some(({ noted }) => noted.size > 0)) await this.#askIndex();
    else this.adapt();
  }

  /** Nothing is told of them any more. */
  end(): void {
    this.#ignore?.();
  }

  /** Calls back whenever something else may be to be done. @returns what ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  of(chunk: DiskChunk): LayerFetch | undefined {
    return this.#layerOf.get(chunk);
  }

  /** Whether something of it is to be done now. */
  isOpen(layer: LayerFetch): boolean {
    return layer.state.kind !== 'done' && !this.#putOff.has(layer);
  }

  /** Whether it is known only soon which pieces layers have. */
  get isIndexAsked(): boolean {
    return this.#index.kind === 'asked';
  }

  /**
   * Whether a layer that nothing waits for comes by pieces. Where a peer has it, it comes from there, as a whole: peers
   * give nothing smaller.
   */
  comesByPieces(layer: LayerFetch): boolean {
    if (this.#indexOf(layer) === undefined) return false;
    return layer.noted.size > 0 || (this.#isByPieces && layer.job.peers === undefined);
  }

  /** From now on an untouched layer comes by pieces. */
  bringByPieces(layer: LayerFetch, decodedBytes = layer.job.resume?.decoded ?? 0): void {
    const index = this.#indexOf(layer);
    if (index === undefined) return;
    const pieces = layer.bringByPieces(index, decodedBytes);
    // What is zero there already needs no work.
    if (layer.isFresh) for (const number of pieces.missingZeros()) this.see({ layer, pieces }, number);
  }

  /** A piece is verified in its place. */
  see({ layer, pieces }: OfLayer, number: number): void {
    if (pieces.state(number) === 'verified') return;
    pieces.set(number, 'verified');
    for (const chunk of layer.chunks) this.#options.fill?.verifiedPiece(chunk, number);
    this.#options.onUnderWay(layer, pieces.encodedBytes);
    if (!pieces.isWhole) return;
    this.toCheck.push({ layer, pieces });
    this.#tell();
  }

  /**
   * All pieces of a layer are what the index says, and yet it is not what the manifest says.
   * @throws TartletError `CHUNK_CORRUPT` when that is so for the second time.
   */
  doubt({ layer, pieces }: OfLayer): void {
    layer.failedChecks += 1;
    const { blob, contentDigest } = layer.job;
    if (layer.failedChecks > 1) {
      const text = `the pieces of blob ${blob.digest} are what their index says, but not the content that is promised`;
      throw new TartletError('CHUNK_CORRUPT', text, {
        subject: blob.digest,
        expected: contentDigest,
        next: { kind: 'push-again-unbroken' },
      });
    }
    // Something else may have written to the disk.
    layer.isFresh = false;
    pieces.doubt();
  }

  /** A layer that was stopped has ended: what came of it is hashed by pieces, and the rest comes by them. */
  async goOnByPieces(layer: LayerFetch): Promise<void> {
    this.#options.onStopped(layer);
    layer.isFresh = false;
    const [chunk] = layer.chunks;
    const positions = await this.#options.journal.underWay().catch(() => new Map<number, { decoded: number }>());
    this.bringByPieces(layer, (chunk && positions.get(chunk.index)?.decoded) ?? 0);
    this.adapt();
  }

  /** Something has to be deleted for a layer. */
  putOff(layer: LayerFetch): void {
    this.#putOff.add(layer);
    this.#tell();
  }

  /** Those that were put off. */
  get later(): readonly LayerFetch[] {
    return [...this.#putOff];
  }

  /** There is room now for what was put off. @param brought layers that came otherwise. */
  goOn(brought: readonly LayerFetch[]): void {
    for (const layer of brought) layer.state = { kind: 'done' };
    this.#putOff.clear();
    this.adapt();
  }

  /** What waits decides how layers come. */
  adapt(): void {
    const { fill } = this.#options;
    const wanted = fill === undefined ? [] : Array.from(fill.wanted, (unit) => fill.units.unit(unit).chunk);
    for (const layer of new Set(wanted.map((chunk) => this.of(chunk)))) {
      if (layer === undefined || !this.isOpen(layer)) continue;
      this.#isByPieces = true;
      if (this.#index.kind === 'unasked') void this.#askIndex();
      if (this.#indexOf(layer) === undefined) continue;
      if (layer.state.kind === 'untouched') this.bringByPieces(layer);
      else layer.stop();
    }
    this.#tell();
  }

  async #askIndex(): Promise<void> {
    if (this.#index.kind !== 'unasked') return;
    this.#index = { kind: 'asked' };
    // It fails only where the whole pull has.
    const index = await this.#options.pieces?.().catch(() => undefined);
    this.#index = index === undefined ? { kind: 'none' } : { kind: 'here', index };
    this.adapt();
  }

  #indexOf({ chunks: [chunk] }: LayerFetch): ChunkPieces | undefined {
    return this.#index.kind === 'here' && chunk !== undefined ? this.#index.index.of(chunk) : undefined;
  }

  #tell(): void {
    for (const listener of Array.from(this.#listeners)) listener();
  }
}
