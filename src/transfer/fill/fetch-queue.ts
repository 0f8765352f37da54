/*
 * More than 250 lines, because what is next depends on everything that is under way.
 */
import type { FetchJob, PiecesJob, ResultOf, VerifyJob } from '../../chunks/chunk-job.ts';
import type { JobSource } from '../../chunks/urgency/job-queue.ts';
import type { Urgency } from '../../chunks/urgency/urgency.ts';
import { BOOT_UNIT_BYTES, type BootOrder } from '../../oci/boot-order.ts';
import type { DiskChunk } from '../../oci/tart-image.ts';
import type { DiskFill } from './disk-fill.ts';
import { FollowedOrder } from './followed-order.ts';
import { DiskLayers, type DiskLayersOptions, type OfLayer } from './disk-layers.ts';
import type { LayerFetch } from './layer-fetch.ts';

/** What brings the layers of a disk. */
export type FillJob = FetchJob | PiecesJob | VerifyJob;

export interface FetchQueueOptions extends DiskLayersOptions {
  /** What is fetched first. Default: everything in the order of the list. */
  readonly order?: BootOrder | undefined;
  /** All of a layer is in its place. */
  readonly onFetched: (layer: LayerFetch, result: { readonly verified: boolean }) => Promise<void>;
}

/** What a job is for. */
type Task =
  | { readonly kind: 'whole'; readonly layer: LayerFetch }
  | (OfLayer & { readonly kind: 'pieces'; readonly numbers: readonly number[] })
  | (OfLayer & { readonly kind: 'candidate'; readonly number: number })
  /** All pieces of the layer are there. */
  | (OfLayer & { readonly kind: 'check' });

/** Makes the job that was found; of a layer that turns out to be all zeros there is none. */
type Found = (() => FillJob | undefined) | undefined;

/**
 * What of a disk is fetched next. Where nothing waits, layers come as a whole, one after the other. As soon as a guest
 * waits, and where it is known from the beginning that one will, layers that have pieces come by these: first exactly
 * those that are waited for, and then the others in runs of some MiB. What came earlier is hashed piece by piece before
 * it counts; and when all pieces of a layer are there, the whole is hashed as well.
 */
export class FetchQueue implements JobSource<FillJob>, Urgency<FillJob> {
  readonly #layers: DiskLayers;
  readonly #options: FetchQueueOptions;
  readonly #tasks = new Map<FillJob, Task>();
  /** Units of the disk that come first. */
  readonly #order: FollowedOrder;
  /** So many layers at the beginning are done. */
  #passed = 0;

  constructor(layers: readonly LayerFetch[], options: FetchQueueOptions) {
    const { fill, order = [] } = options;
    this.#layers = new DiskLayers(layers, options);
    this.#options = options;
    this.#order = new FollowedOrder(fill === undefined ? [] : unitsOf(fill, order));
  }

  /** Loads what has to be known before the first job. To be called once. */
  async begin(): Promise<void> {
    await this.#layers.begin();
  }

  /** Nothing is taken from it any more. */
  end(): void {
    this.#layers.end();
  }

  take(which: 'any' | 'urgent'): FillJob | undefined {
    for (;;) {
      const found = this.#findUrgent() ?? (which === 'any' ? this.#findNext() : undefined);
      if (found === undefined) return undefined;
      const job = found();
      if (job !== undefined) return job;
    }
  }

  get hasUrgent(): boolean {
    return this.#findUrgent() !== undefined;
  }

  /** Layers that are not done. */
  get length(): number {
    return this.#layers.all.filter((layer) => this.#layers.isOpen(layer)).length;
  }

  isUrgent(job: FillJob): boolean {
    const { fill } = this.#options;
    const task = this.#tasks.get(job);
    if (fill === undefined || task === undefined || task.kind === 'check') return false;
    const { chunks } = task.layer;
    if (task.kind === 'whole') return chunks.some((chunk) => fill.isUrgent(chunk));
    const numbers = task.kind === 'pieces' ? task.numbers : [task.number];
    return chunks.some((chunk) => numbers.some((number) => fill.isUrgentPiece(chunk, number)));
  }

  onChange(listener: () => void): () => void {
    return this.#layers.onChange(listener);
  }

  /** What a job is for, until it has ended. */
  layerOf(job: FillJob): LayerFetch | undefined {
    return this.#tasks.get(job)?.layer;
  }

  /** A job is under way. @param stop ends it. */
  begun(job: FillJob, stop: () => void): void {
    const layer = this.layerOf(job);
    if (layer?.state.kind !== 'whole') return;
    layer.state = { kind: 'whole', stop };
    // Something may wait for a piece of it already. It cannot be stopped before its thread has it.
    queueMicrotask(() => this.#layers.adapt());
  }

  /** A piece is verified. */
  piece(job: FillJob, number: number): void {
    const task = this.#tasks.get(job);
    if (task?.kind === 'pieces') this.#layers.see(task, number);
  }

  /** A job has ended well. @throws TartletError `CHUNK_CORRUPT`, and what is thrown for a layer that is there. */
  async done(job: FillJob, result: ResultOf<FillJob>): Promise<void> {
    const task = this.#tasks.get(job);
    this.#tasks.delete(job);
    const isIntact = result.kind === 'verify' && result.intact;
    switch (task?.kind) {
      case 'whole':
        await this.#settle(task.layer, { verified: result.kind === 'fetch' && result.verified });
        break;
      case 'candidate':
        if (isIntact) this.#layers.see(task, task.number);
        else this.#lose(task, [task.number]);
        break;
      case 'check':
        if (isIntact) await this.#settle(task.layer, { verified: false });
        else this.#layers.doubt(task);
        break;
      case 'pieces':
      case undefined:
        break;
    }
    this.#layers.adapt();
  }

  /** Whether a job was ended because its layer goes on by pieces. */
  isStopped(job: FillJob): boolean {
    return this.layerOf(job)?.state.kind === 'stopping';
  }

  /** Pieces of a job that are not there yet. */
  missingOf(job: PiecesJob): readonly number[] {
    const task = this.#tasks.get(job);
    return task?.kind === 'pieces' ? task.numbers.filter((number) => task.pieces.state(number) !== 'verified') : [];
  }

  /** A layer that failed is tried again. @param next goes on where it ended. */
  retryWhole(failed: FetchJob, next: FetchJob): FetchJob {
    const layer = this.layerOf(failed);
    this.#tasks.delete(failed);
    if (layer === undefined) return next;
    layer.job = next;
    layer.isFresh = false;
    return this.#bringWhole(layer);
  }

  /** Pieces that failed are tried again. @param only this one: the others are not waited for with it. */
  retryPieces(failed: PiecesJob, only: number | undefined): PiecesJob {
    const task = this.#tasks.get(failed);
    const missing = this.missingOf(failed);
    this.#tasks.delete(failed);
    if (task?.kind !== 'pieces') return failed;
    const numbers = only === undefined ? missing : [only];
    for (const number of missing) if (!numbers.includes(number)) task.pieces.set(number, 'missing');
    const job = task.layer.piecesJob(numbers.map((number) => task.pieces.piece(number)));
    this.#tasks.set(job, { ...task, numbers });
    this.#layers.adapt();
    return job;
  }

  /** A job has failed. @returns whether it was stopped, and its layer goes on by pieces. */
  failed(job: FillJob): boolean {
    const layer = this.layerOf(job);
    if (layer === undefined || !this.isStopped(job)) return false;
    this.#tasks.delete(job);
    void this.#layers.goOnByPieces(layer);
    return true;
  }

  /** There is no room for a job: its layer waits until the rest was checked. */
  putOff(job: FillJob): void {
    const task = this.#tasks.get(job);
    this.#tasks.delete(job);
    if (task?.kind === 'whole') task.layer.state = { kind: 'untouched' };
    if (task?.kind === 'pieces') for (const number of task.numbers) task.pieces.set(number, 'missing');
    if (task !== undefined) this.#layers.putOff(task.layer);
  }

  /** Layers that were put off. */
  get later(): readonly LayerFetch[] {
    return this.#layers.later;
  }

  /** There is room now for what was put off. @param brought layers that came otherwise. */
  goOn(brought: readonly LayerFetch[]): void {
    this.#layers.goOn(brought);
  }

  #findUrgent(): Found {
    const { fill } = this.#options;
    for (const unit of fill?.wanted ?? []) {
      const found = fill && this.#findUnit(fill, unit, 'urgent');
      if (found === undefined) continue;
      return () => {
        this.#order.waitedFor(unit);
        return found();
      };
    }
    return undefined;
  }

  #findNext(): Found {
    if (this.#layers.toCheck.length > 0) return () => this.#check();
    if (this.#options.guest === 'waited-for') return undefined;
    return this.#findOrdered() ?? this.#findMissing() ?? this.#findCandidate();
  }

  #findOrdered(): Found {
    const { fill } = this.#options;
    for (let unit = this.#order.next; unit !== undefined; unit = this.#order.next) {
      const found = fill && this.#findUnit(fill, unit, 'ordered');
      if (found !== undefined) return found;
      this.#order.pass();
    }
    return undefined;
  }

  #findMissing(): Found {
    const { all } = this.#layers;
    while (all[this.#passed]?.state.kind === 'done') this.#passed += 1;
    for (let at = this.#passed; at < all.length; at += 1) {
      const found = this.#findIn(all[at]);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** What may be here already comes last: meanwhile the network would have nothing to do. */
  #findCandidate(): Found {
    for (const layer of this.#layers.all) {
      if (!this.#layers.isOpen(layer) || layer.state.kind !== 'pieces') continue;
      const { pieces } = layer.state;
      const number = pieces.find('candidate');
      if (number !== undefined) return () => this.#hash({ layer, pieces }, number);
    }
    return undefined;
  }

  #findUnit(fill: DiskFill, unit: number, why: 'urgent' | 'ordered'): Found {
    const { chunk, piece } = fill.units.unit(unit);
    const layer = this.#layers.of(chunk);
    if (layer === undefined || !this.#layers.isOpen(layer)) return undefined;
    if (layer.state.kind === 'untouched') {
      if (why === 'urgent' && this.#layers.isIndexAsked) return undefined;
      if (!this.#layers.comesByPieces(layer)) return () => this.#bringWhole(layer);
      return () => {
        this.#layers.bringByPieces(layer);
        return this.#findUnit(fill, unit, why)?.();
      };
    }
    if (layer.state.kind !== 'pieces') return undefined;
    const { pieces } = layer.state;
    const of = { layer, pieces };
    if (pieces.state(piece) === 'candidate') return () => this.#hash(of, piece);
    if (pieces.state(piece) !== 'missing') return undefined;
    const isLike = (near: number, each: DiskChunk): boolean =>
      why === 'urgent' ? fill.isUrgentPiece(each, near) : this.#order.has(fill.units.of(each).first + near);
    return () => this.#fetch(of, piece, (near) => layer.chunks.some((each) => isLike(near, each)));
  }

  /** The first of a layer that is missing, or all of it. */
  #findIn(layer: LayerFetch | undefined): Found {
    if (layer === undefined || !this.#layers.isOpen(layer)) return undefined;
    if (layer.state.kind === 'untouched') {
      if (!this.#layers.comesByPieces(layer)) return () => this.#bringWhole(layer);
      return () => {
        this.#layers.bringByPieces(layer);
        return this.#findIn(layer)?.();
      };
    }
    if (layer.state.kind !== 'pieces') return undefined;
    const { pieces } = layer.state;
    const first = pieces.find('missing');
    return first === undefined ? undefined : () => this.#fetch({ layer, pieces }, first);
  }

  #bringWhole(layer: LayerFetch): FetchJob {
    layer.state = { kind: 'whole', stop: undefined };
    this.#tasks.set(layer.job, { kind: 'whole', layer });
    return layer.job;
  }

  #fetch(of: OfLayer, piece: number, mayTake?: (near: number) => boolean): PiecesJob {
    const taken = of.pieces.take(piece, mayTake);
    const job = of.layer.piecesJob(taken);
    this.#tasks.set(job, { kind: 'pieces', ...of, numbers: taken.map(({ index }) => index) });
    return job;
  }

  #hash(of: OfLayer, number: number): VerifyJob {
    of.pieces.set(number, 'under-way');
    const job = of.layer.verifyJob(of.pieces.piece(number));
    this.#tasks.set(job, { kind: 'candidate', ...of, number });
    return job;
  }

  #check(): VerifyJob | undefined {
    const of = this.#layers.toCheck.shift();
    if (of === undefined) return undefined;
    const job = of.layer.checkJob();
    this.#tasks.set(job, { kind: 'check', ...of });
    return job;
  }

  /** What was said to be there is not. */
  #lose({ layer, pieces }: OfLayer, numbers: readonly number[]): void {
    layer.isFresh = false;
    for (const number of numbers) pieces.set(number, 'missing');
  }

  async #settle(layer: LayerFetch, result: { readonly verified: boolean }): Promise<void> {
    layer.state = { kind: 'done' };
    await this.#options.onFetched(layer, result);
  }
}

/** The units that these MiB touch, in their order. */
function unitsOf({ units }: DiskFill, order: BootOrder): ReadonlySet<number> {
  const found = new Set<number>();
  for (const number of order) {
    const offset = number * BOOT_UNIT_BYTES;
    const { first, last } = units.within({ offset, length: Math.min(BOOT_UNIT_BYTES, units.size - offset) });
    for (let unit = first; unit <= last; unit += 1) found.add(unit);
  }
  return found;
}
