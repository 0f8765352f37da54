import { setMaxListeners } from 'node:events';
import { fc, it } from '@fast-check/vitest';
import { describe, expect } from 'vitest';
import type { FetchJob } from '../../../src/chunks/chunk-job.ts';
import { ChunkJournal } from '../../../src/home/chunk-journal.ts';
import { Digest } from '../../../src/names/digest.ts';
import type { DiskChunk } from '../../../src/oci/disk-file.ts';
import { ChunkPieces, formatPieceIndex, PieceIndex, pieceEntry, zeroHex } from '../../../src/oci/piece-index.ts';
import { DiskFill } from '../../../src/transfer/fill/disk-fill.ts';
import type { GuestFill } from '../../../src/transfer/fill/disk-layers.ts';
import { FetchQueue, type FillJob } from '../../../src/transfer/fill/fetch-queue.ts';
import { LayerFetch } from '../../../src/transfer/fill/layer-fetch.ts';

const MIB = 1024 * 1024;
const SIGNAL = new AbortController().signal;
setMaxListeners(0, SIGNAL);
const ENCODED = 1000;

interface Shape {
  /** Of each layer: `d` a piece with data, `z` one of zeros. An empty layer has no pieces in the index. */
  readonly layers: readonly string[];
  readonly fresh?: boolean;
  /** By layer: pieces that an earlier pull says to have written, and how many of them are not what they should be. */
  readonly noted?: readonly (readonly number[])[];
  readonly guest?: GuestFill | undefined;
  readonly order?: readonly number[];
  readonly peers?: boolean;
}

/** A queue, and what a pool would do with it. */
class World {
  readonly fill: DiskFill;
  readonly queue: FetchQueue;
  readonly fetched: number[] = [];
  /** `layer/piece`, or `layer` for all of it. */
  readonly log: string[] = [];
  readonly chunks: readonly DiskChunk[];
  readonly layers: readonly LayerFetch[];
  readonly stops = new Map<FillJob, () => void>();
  readonly stopped = new Set<FillJob>();

  constructor({ layers, fresh = true, noted = [], guest, order, peers = false }: Shape) {
    let offset = 0;
    const pieced: ChunkPieces[] = [];
    this.chunks = layers.map((text, index): DiskChunk => {
      const count = Math.max(1, text.length);
      // The last piece of a layer is short.
      const size = count * MIB - 5;
      const pieces = Array.from(text, (kind, at) => {
        const bytes = at === text.length - 1 ? MIB - 5 : MIB;
        return pieceEntry(
          ENCODED,
          Buffer.from(kind === 'z' ? zeroHex(bytes) : `${index}${at}`.padStart(64, '1'), 'hex'),
        );
      });
      const digest = Digest.sha256(String(index).padStart(64, 'a'));
      const blob = { digest, size: text.length * ENCODED + 4, contentSize: size, entries: Buffer.concat(pieces) };
      if (text !== '') pieced.push(new ChunkPieces(blob));
      const descriptor = { ...blob, mediaType: 'x', annotations: new Map() };
      const chunk = { index, descriptor, offset, size, contentDigest: Digest.sha256(String(index).padStart(64, 'b')) };
      offset += size;
      return chunk;
    });
    this.fill = new DiskFill(this.chunks);
    const disk = { chunks: this.chunks, size: offset, fileDigest: undefined };
    const index = PieceIndex.parse(formatPieceIndex(pieced), disk);
    this.layers = this.chunks.map(
      (chunk, at) => new LayerFetch(wholeJob(chunk, fresh, peers), [chunk], new Set(noted[at])),
    );
    this.queue = new FetchQueue(this.layers, {
      fill: this.fill,
      journal: new ChunkJournal('/nowhere/journal'),
      pieces: async () => index,
      guest,
      order,
      onFetched: async ({ chunks }) => {
        for (const chunk of chunks) {
          this.fetched.push(chunk.index);
          this.fill.verified(chunk);
        }
      },
      onUnderWay: () => undefined,
      onStopped: () => undefined,
    });
  }

  take(which: 'any' | 'urgent' = 'any'): FillJob | undefined {
    const job = this.queue.take(which);
    if (job === undefined) return undefined;
    this.log.push(this.nameOf(job));
    this.queue.begun(job, () => this.stopped.add(job));
    return job;
  }

  nameOf(job: FillJob): string {
    const layer = this.queue.layerOf(job)?.chunks[0]?.index ?? -1;
    if (job.kind === 'pieces') return `${layer}/${job.pieces.map(({ index }) => index).join(',')}`;
    if (job.kind === 'fetch') return String(layer);
    const from = job.offset - (this.chunks[layer]?.offset ?? 0);
    return job.contentSize > MIB || from === 0 ? `${layer}?` : `${layer}/${from / MIB}?`;
  }

  async finish(job: FillJob, isIntact = true): Promise<void> {
    if (job.kind === 'pieces') for (const { index } of job.pieces) this.queue.piece(job, index);
    if (job.kind === 'fetch') await this.queue.done(job, { kind: 'fetch', verified: true });
    else if (job.kind === 'pieces') await this.queue.done(job, { kind: 'pieces' });
    else await this.queue.done(job, { kind: 'verify', intact: isIntact });
  }

  /** Numbers of the layers that are there. */
  brought(): readonly number[] {
    return this.fetched.toSorted((a, b) => a - b);
  }

  /** Does one job after the other until there is none. */
  async drain(): Promise<readonly string[]> {
    const from = this.log.length;
    for (let job = this.take(); job !== undefined; job = this.take()) await this.finish(job);
    return this.log.slice(from);
  }

  /** A guest waits for MiB of the disk. */
  wait(at: number, length = 1): { readonly isReady: () => boolean } {
    let isReady = false;
    const range = { offset: at * MIB - Math.floor(at / 4) * 5, length };
    const watch = async (): Promise<void> => {
      await this.fill.ready(range, SIGNAL);
      isReady = true;
    };
    void watch();
    return { isReady: () => isReady };
  }
}

function wholeJob(chunk: DiskChunk, fresh: boolean, peers: boolean): FetchJob {
  const { descriptor, contentDigest, size, offset, index } = chunk;
  return {
    kind: 'fetch',
    blob: { digest: descriptor.digest.toString(), size: descriptor.size },
    contentDigest: contentDigest.toString(),
    contentSize: size,
    disk: '/nowhere/disk.img',
    offsets: [offset],
    fresh,
    mark: { journal: '/nowhere/journal', index },
    peers: peers ? [0] : undefined,
  };
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

const FOUR = ['dddd', 'dzzd', 'dddd'];

describe('what is fetched next', () => {
  it.each<[string, Shape, readonly string[]]>([
    ['layers, where no guest waits', { layers: FOUR }, ['0', '1', '2']],
    [
      'pieces in runs, and then the digest of their layer, where a guest waits from the beginning',
      { layers: FOUR, guest: 'everything' },
      ['0/0,1,2,3', '0?', '1/0', '1/3', '1?', '2/0,1,2,3', '2?'],
    ],
    [
      'zeros as well where the disk may hold something else',
      { layers: ['dzzd'], guest: 'everything', fresh: false },
      ['0/0,1,2,3', '0?'],
    ],
    ['no piece of a layer of zeros', { layers: ['zz'], guest: 'everything' }, ['0?']],
    [
      'at most eight pieces in one run',
      { layers: ['ddddddddddd'], guest: 'everything' },
      ['0/0,1,2,3,4,5,6,7', '0/8,9,10', '0?'],
    ],
    [
      'a layer without pieces as a whole',
      { layers: ['dd', '', 'dd'], guest: 'everything' },
      ['0/0,1', '0?', '1', '2/0,1', '2?'],
    ],
    ['layers of which a peer has all', { layers: FOUR, guest: 'everything', peers: true }, ['0', '1', '2']],
    [
      'what an order names first, without what lies beside it',
      { layers: FOUR, guest: 'everything', order: [9, 2, 1] },
      // A MiB of the disk lies in two units of a layer that does not begin with one.
      ['2/1,2', '0/1,2', '0/0', '0/3', '0?', '1/0', '1/3', '1?', '2/0', '2/3', '2?'],
    ],
    [
      'what is missing before what may be here',
      { layers: ['dddd'], noted: [[1, 2]], fresh: false },
      ['0/0', '0/3', '0/1?', '0/2?', '0?'],
    ],
  ])('is %s', async (_what, shape, expected) => {
    const world = new World(shape);
    await world.queue.begin();
    expect(await world.drain()).toStrictEqual(expected);
    expect(world.brought()).toStrictEqual(world.chunks.map(({ index }) => index));
    expect(world.queue.length).toBe(0);
  });

  it('is nothing but what a guest waits for where nothing else is wanted', async () => {
    const world = new World({ layers: FOUR, guest: 'waited-for' });
    await world.queue.begin();
    expect(world.take()).toBeUndefined();
    const waiting = world.wait(2);
    expect(await world.drain()).toStrictEqual(['0/2']);
    expect(waiting.isReady()).toBe(true);
    expect(world.queue.length).toBe(3);
  });

  it('is what a guest waits for, neighbours in one, and each piece told as it comes', async () => {
    const world = new World({ layers: FOUR, guest: 'everything' });
    await world.queue.begin();
    const [first, second] = [world.wait(8, 1), world.wait(9, 1)];
    const job = world.take('urgent');
    expect(world.log).toStrictEqual(['2/0,1']);
    expect(world.take('urgent')).toBeUndefined();
    if (job === undefined) return;
    expect(world.queue.isUrgent(job)).toBe(true);
    world.queue.piece(job, 0);
    await turn();
    expect([first.isReady(), second.isReady()]).toStrictEqual([true, false]);
    world.queue.piece(job, 1);
    expect(world.queue.isUrgent(job)).toBe(false);
  });

  it('is a piece of a layer under way, after that was stopped', async () => {
    const world = new World({ layers: FOUR });
    await world.queue.begin();
    const job = world.take();
    if (job === undefined) return;
    world.wait(3);
    await expect.poll(() => world.stopped.has(job)).toBe(true);
    // It still writes what is not verified.
    expect(world.take('urgent')).toBeUndefined();
    expect(world.queue.failed(job)).toBe(true);
    await expect.poll(() => world.queue.hasUrgent).toBe(true);
    expect((await world.drain())[0]).toBe('0/3');
    expect(world.brought()).toStrictEqual([0, 1, 2]);
  });

  it('is a piece that is wrong by itself, after those beside it', async () => {
    const world = new World({ layers: ['dddd'], guest: 'everything' });
    await world.queue.begin();
    const job = world.take();
    if (job?.kind !== 'pieces') throw new Error('no pieces');
    world.queue.piece(job, 0);
    const again = world.queue.retryPieces(job, world.queue.missingOf(job)[0]);
    expect(again.pieces.map(({ index }) => index)).toStrictEqual([1]);
    expect(await world.drain()).toStrictEqual(['0/2,3']);
    await world.finish(again);
    expect(await world.drain()).toStrictEqual(['0?']);
  });

  it('is all of a layer once more whose digest is not that of its pieces, and then an error', async () => {
    const world = new World({ layers: ['dd'], guest: 'everything' });
    await world.queue.begin();
    const take = async (isIntact: boolean): Promise<void> => {
      const job = world.take();
      if (job !== undefined) await world.finish(job, isIntact);
    };
    await take(true);
    await take(false);
    await take(true);
    await take(true);
    await expect(take(false)).rejects.toMatchObject({ code: 'CHUNK_CORRUPT' });
    expect(world.log).toStrictEqual(['0/0,1', '0?', '0?', '0/1?', '0?']);
  });
});

const kinds = fc.stringMatching(/^[dz]{0,12}$/);
const shapes = fc.record({
  layers: fc.array(kinds, { minLength: 1, maxLength: 5 }),
  fresh: fc.boolean(),
  noted: fc.array(fc.array(fc.nat({ max: 12 }), { maxLength: 5 }), { maxLength: 5 }),
  guest: fc.constantFrom<GuestFill | undefined>('everything', undefined),
  order: fc.array(fc.nat({ max: 70 }), { maxLength: 10 }),
  peers: fc.boolean(),
});
/** What happens next, and to which of the jobs under way. */
const steps = fc.array(fc.tuple(fc.nat({ max: 7 }), fc.nat({ max: 60 })), { maxLength: 150 });

it.prop([shapes, steps], { numRuns: 200 })(
  'brings each layer once, whatever is waited for, fails, is stopped, is put off, or is not what it should be',
  async (shape, all) => {
    const world = new World(shape);
    await world.queue.begin();
    const underWay: FillJob[] = [];
    const rest: FillJob[] = [];
    const take = (which: 'any' | 'urgent'): void => {
      const job = world.take(which);
      if (job === undefined) return;
      underWay.push(job);
      // A layer that comes as a whole writes what is not verified: nothing else of it may come meanwhile.
      for (const [at, other] of underWay.entries()) {
        for (const next of underWay.slice(at + 1)) {
          const isOne = world.queue.layerOf(other) === world.queue.layerOf(next);
          if (isOne) expect([other.kind, next.kind]).not.toContain('fetch');
        }
      }
    };
    const end = async (number: number, how: 'well' | 'badly' | 'not-intact' | 'put-off'): Promise<void> => {
      const [job] = underWay.splice(number % Math.max(1, underWay.length), 1);
      if (job === undefined) return;
      if (world.queue.isStopped(job)) {
        world.queue.failed(job);
        await turn();
      } else if (how === 'put-off' && job.kind !== 'verify') world.queue.putOff(job);
      else if (how === 'badly' && job.kind === 'pieces') {
        const [first] = job.pieces;
        if (job.pieces.length > 1 && first !== undefined) world.queue.piece(job, first.index);
        rest.push(world.queue.retryPieces(job, world.queue.missingOf(job)[0]));
      } else if (how === 'badly' && job.kind === 'fetch')
        rest.push(world.queue.retryWhole(job, { ...job, fresh: false }));
      else await world.finish(job, how !== 'not-intact' || !world.nameOf(job).includes('/'));
    };
    const waiting: (() => boolean)[] = [];
    for (const [what, number] of all) {
      if (what === 0) waiting.push(world.wait(number % world.chunks.length).isReady);
      else if (what === 1) take('urgent');
      else if (what === 2 || what === 3) take('any');
      else if (what === 4) await end(number, 'badly');
      else if (what === 5) await end(number, 'put-off');
      else if (what === 6) await end(number, 'not-intact');
      else await end(number, 'well');
    }
    for (let turns = 0; world.queue.length > 0 || world.queue.later.length > 0; turns += 1) {
      expect(turns).toBeLessThan(10_000);
      underWay.push(...rest.splice(0));
      while (underWay.length > 0) await end(0, 'well');
      take('any');
      if (underWay.length > 0) continue;
      world.queue.goOn([]);
      // What was stopped may still look into the journal.
      await turn();
    }
    expect(world.brought()).toStrictEqual(world.chunks.map(({ index }) => index));
    await turn();
    expect(waiting.every((isReady) => isReady())).toBe(true);
  },
);
