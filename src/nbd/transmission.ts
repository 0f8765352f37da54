import { setMaxListeners } from 'node:events';
import { TartletError, unreachable } from '../errors.ts';
import type { ByteRange } from '../fs/disk/read-range.ts';
import type { BlockDevice, Extent } from './block-device.ts';
import type { ByteReader } from './byte-reader.ts';
import type { ByteWriter } from './byte-writer.ts';
import type { Negotiated } from './handshake.ts';
import { Places } from './places.ts';
import { ConnectionBroken, Errno } from './protocol.ts';
import { type Cookie, dataChunk, doneChunk, errorChunk, extentsChunk, holeChunk, simpleReply } from './reply.ts';
import { readRequest, type Request } from './request.ts';

/** So many requests of one connection are under way at once; while there are, no more are read. */
const MOST_UNDER_WAY = 64;

/** Data is read and sent in pieces of so many bytes. */
const PIECE_BYTES = 256 * 1024;

/**
 * So many pieces are read, and wait to be sent: the memory of a connection, of which a client that never reads its
 * answers has as much as any other.
 */
const MOST_PIECES = 8;

/** So many extents are told in one answer; clients ask for the rest. */
const MOST_EXTENTS = 4096;

/** How a client is spoken to. */
export interface Connection {
  readonly reader: ByteReader;
  readonly writer: ByteWriter;
  /** Aborted when the connection has ended. */
  readonly signal: AbortSignal;
  /** Ends it, when an answer could not be given to its end. */
  readonly abandon: () => void;
}

/** What a client does with the device that it has chosen. */
export class Transmission {
  readonly #reader: ByteReader;
  readonly #writer: ByteWriter;
  readonly #device: BlockDevice;
  readonly #agreed: Negotiated;
  readonly #signal: AbortSignal;
  readonly #underWay = new Set<Promise<void>>();
  readonly #pieces = new Places(MOST_PIECES);
  readonly #abandon: () => void;

  constructor(agreed: Negotiated, { reader, writer, signal, abandon }: Connection) {
    this.#reader = reader;
    this.#writer = writer;
    this.#agreed = agreed;
    this.#device = agreed.chosen.device;
    this.#signal = signal;
    this.#abandon = abandon;
    setMaxListeners(0, signal); // One for each request under way.
  }

  /**
   * Answers until the client leaves, each request as soon as its answer is there.
   * @throws ConnectionBroken
   */
  async serve(): Promise<void> {
    const terms = { ...this.#agreed, size: this.#device.size };
    for (;;) {
      const request = await readRequest(this.#reader, terms);
      if (request === undefined) break;
      const answer: Promise<void> = this.#answer(request)
        .catch(this.#abandon)
        .finally(() => this.#underWay.delete(answer));
      this.#underWay.add(answer);
      if (this.#underWay.size >= MOST_UNDER_WAY) await Promise.race(this.#underWay);
    }
    await Promise.all(this.#underWay);
  }

  /** @throws ConnectionBroken */
  async #answer(request: Request): Promise<void> {
    try {
      await this.#perform(request);
    } catch (error) {
      // In the middle of an answer, there is no room for an error.
      if (error instanceof ConnectionBroken || this.#signal.aborted) throw error;
      await this.#end(request.cookie, Errno.io, 'error-in-chunk');
    }
  }

  async #perform(request: Request): Promise<void> {
    const { cookie } = request;
    switch (request.kind) {
      case 'refused':
        return this.#end(cookie, request.errno, 'error-in-chunk');
      case 'flush':
        return this.#end(cookie, Errno.none);
      case 'cache':
        await this.#device.ready(request.range, this.#signal);
        return this.#end(cookie, Errno.none);
      case 'extents':
        return this.#tellExtents(cookie, request.range, request.isFirstOnly);
      case 'read':
        if (this.#agreed.isStructured && !request.isWhole) return this.#readInChunks(cookie, request.range);
        return this.#readWhole(cookie, request.range);
      default:
        return unreachable(request);
    }
  }

  /** Ends a request that has no data. Where replies are structured, only those to reads and extents have to be. */
  async #end(cookie: Cookie, errno: number, how: 'simple' | 'error-in-chunk' = 'simple'): Promise<void> {
    const isChunk = how === 'error-in-chunk' && this.#agreed.isStructured;
    await this.#writer.write([isChunk ? errorChunk(cookie, errno) : simpleReply(cookie, errno)]);
  }

  async #tellExtents(cookie: Cookie, range: ByteRange, isFirstOnly: boolean): Promise<void> {
    const extents = await this.#device.extents(range);
    await this.#writer.write([extentsChunk(cookie, extents.slice(0, isFirstOnly ? 1 : MOST_EXTENTS))]);
  }

  /** Zeros are told, not sent; and other answers may come between two pieces. */
  async #readInChunks(cookie: Cookie, range: ByteRange): Promise<void> {
    await this.#device.ready(range, this.#signal);
    for (const extent of await this.#device.extents(range)) {
      if (extent.kind === 'hole') await this.#writer.write([holeChunk(cookie, extent, false)]);
      else await this.#sendData(cookie, extent);
    }
    await this.#writer.write([doneChunk(cookie)]);
  }

  async #sendData(cookie: Cookie, extent: Extent): Promise<void> {
    for (const piece of inPieces(extent)) {
      await this.#pieces.within(async () => {
        const bytes = await bytesOf(this.#device, piece, this.#signal);
        await this.#writer.write([dataChunk(cookie, piece, false), bytes]);
      });
    }
  }

  /** In one piece as the client sees it. What is longer than one of ours is read while the answer is written. */
  async #readWhole(cookie: Cookie, range: ByteRange): Promise<void> {
    const device = this.#device;
    const signal = this.#signal;
    await device.ready(range, signal);
    const [first, ...others] = (await device.extents(range)).flatMap(inPieces);
    if (first === undefined) return;
    const header = this.#agreed.isStructured ? dataChunk(cookie, range, true) : simpleReply(cookie, Errno.none);
    await this.#pieces.within(async () => {
      // Only before the header an error can still be told.
      const beginning = await bytesOf(device, first, signal);
      const parts = async function* (): AsyncGenerator<Uint8Array> {
        yield header;
        yield beginning;
        for (const piece of others) yield await bytesOf(device, piece, signal);
      };
      await this.#writer.write(parts());
    });
  }
}

const ZEROS = new Uint8Array(PIECE_BYTES);

/** @throws Error also for a device that gives fewer or more bytes: they would be taken for another answer. */
async function bytesOf(device: BlockDevice, piece: Extent, signal: AbortSignal): Promise<Uint8Array> {
  if (piece.kind === 'hole') return ZEROS.subarray(0, piece.length);
  const bytes = await device.read(piece, signal);
  if (bytes.length === piece.length) return bytes;
  throw new TartletError('INTERNAL', `a device gave ${bytes.length} bytes in the place of ${piece.length}`);
}

/** No piece is longer than {@link PIECE_BYTES}. */
function inPieces({ kind, offset, length }: Extent): Extent[] {
  return Array.from({ length: Math.ceil(length / PIECE_BYTES) }, (_, at): Extent => {
    const done = at * PIECE_BYTES;
    return { kind, offset: offset + done, length: Math.min(PIECE_BYTES, length - done) };
  });
}
