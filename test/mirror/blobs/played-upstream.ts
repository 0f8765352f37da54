import { randomBytes } from 'node:crypto';
import { onTestFinished } from 'vitest';
import { Digest } from '../../../src/names/digest.ts';
import { BlobCache, type BlobCacheEvent, type BlobCacheSettings } from '../../../src/mirror/blobs/blob-cache.ts';
import type { BlobContent, BlobOrigin } from '../../../src/mirror/blobs/contract.ts';
import { DataDirectory } from '../../../src/server/store/data-directory.ts';
import { temporaryDirectory } from '../../support/directory.ts';

/** Bytes that come at a time. */
const PIECE = 10_000;

/** What an upstream sends instead of, or before, the next piece; undefined: the piece as it is. */
export type Meddle = (piece: { readonly at: number; readonly bytes: Buffer }) => Promise<Buffer | undefined>;

/** A blob of an upstream that does as a test says, and keeps account. */
export class PlayedBlob {
  readonly bytes: Buffer;
  readonly digest: Digest;
  /** Where each read began, and how many bytes went out. */
  readonly reads: number[] = [];
  sent = 0;
  meddle: Meddle = async () => undefined;

  constructor(size: number) {
    this.bytes = randomBytes(size);
    this.digest = Digest.of(this.bytes);
  }

  origin(upstream = 'up.example', size = this.bytes.length): BlobOrigin {
    return { upstream, size: async () => size, read: (from, signal, to) => this.#read(from, signal, to) };
  }

  async *#read(from: number, signal: AbortSignal, to = this.bytes.length): AsyncGenerator<Uint8Array> {
    this.reads.push(from);
    for (let at = from; at < to; at += PIECE) {
      const bytes = this.bytes.subarray(at, Math.min(at + PIECE, to));
      const meddled = await unlessAborted(this.meddle({ at, bytes }), signal);
      this.sent += bytes.length;
      yield meddled ?? bytes;
    }
  }
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    void work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/** A gate that stands in the way until it is opened. */
export function gate(): { readonly passed: Promise<void>; open: () => void } {
  let open: () => void = () => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open };
}

/** A cache in a directory of its own, or in that of another one, closed with the test. */
export async function openCache(
  settings: Partial<BlobCacheSettings> = {},
): Promise<{ cache: BlobCache; root: string; events: BlobCacheEvent[] }> {
  const directory = settings.directory ?? new DataDirectory(temporaryDirectory());
  await directory.make();
  await directory.prepare();
  const events: BlobCacheEvent[] = [];
  const cache = await BlobCache.load({
    budgetBytes: 1024 ** 3,
    freeBytes: 0,
    now: Date.now,
    onEvent: (event) => events.push(event),
    ...settings,
    directory,
  });
  onTestFinished(async () => cache.close());
  return { cache, root: directory.root, events };
}

/** Reads from a position to the end, or to before another one, and closes. */
export async function readAll(content: BlobContent, from = 0, to = content.size): Promise<Buffer> {
  const pieces: Buffer[] = [];
  try {
    for (let at = from; at < to; ) {
      const buffer = Buffer.alloc(Math.min(7_777, to - at));
      const count = await content.read(buffer, at);
      if (count === 0) throw new Error(`the content ended at ${at}`);
      pieces.push(buffer.subarray(0, count));
      at += count;
    }
  } finally {
    await content.close();
  }
  return Buffer.concat(pieces);
}
