import { removeEntry } from '../fs/remove.ts';
import { TartletError } from '../errors.ts';
import { Digest } from '../names/digest.ts';
import type { EncodedChunk } from '../oci/flat-manifest.ts';
import type { DiskChunk } from '../oci/tart-image.ts';
import type { EncodeJob, EncodeResult } from '../chunks/chunk-job.ts';
import { readWindow } from '../chunks/disk-window.ts';
import { runLocally } from '../transfer/local-jobs.ts';
import { DISK_CHUNK_BYTES } from '../transfer/push/push.ts';
import type { Session } from '../session/session.ts';
import type { LayoutWriter } from './layout-writer.ts';

export interface DiskToPack {
  readonly disk: string;
  /** Bytes of the disk. */
  readonly size: number;
  /** What messages and events call the VM. */
  readonly subject: string;
  /** How the disk was cut before, and what the pieces must hold. */
  readonly original: readonly DiskChunk[] | undefined;
  /** Bytes per chunk where there is no original; default {@link DISK_CHUNK_BYTES}. */
  readonly chunkBytes: number | undefined;
  /** A directory for encoded chunks: a tar file says how long an entry is before its first byte. */
  readonly spool: string;
}

/**
 * Adds all chunks of a disk to an archive, in order. They are encoded in threads; the spool holds a few, memory none.
 *
 * @throws TartletError `STORE_DAMAGED` when a chunk is not what the original says, `CHUNK_CORRUPT`, `DISK_*`
 */
export async function packDisk(session: Session, writer: LayoutWriter, plan: DiskToPack): Promise<EncodedChunk[]> {
  const { size, subject, original } = plan;
  const sizes = original?.map((chunk) => chunk.size) ?? evenSizes(size, plan.chunkBytes ?? DISK_CHUNK_BYTES);
  if (sizes.reduce((sum, each) => sum + each, 0) !== size) throw damaged(plan, 'its disk has another size');
  session.emit({
    kind: 'started',
    subject,
    direction: 'export',
    bytesTotal: undefined,
    diskBytes: size,
    chunks: sizes.length,
  });
  return new DiskPacking(session, writer, plan).pack(extents(sizes));
}

interface Extent {
  readonly index: number;
  readonly offset: number;
  readonly contentSize: number;
}

function extents(sizes: readonly number[]): Extent[] {
  let offset = 0;
  return sizes.map((contentSize, index) => {
    const extent = { index, offset, contentSize };
    offset += contentSize;
    return extent;
  });
}

/** At most so many chunks wait in the spool, encoded or on their way. */
const MOST_WAITING = 4;

/** Threads encode ahead while the chunks go into the archive one after another. */
class DiskPacking {
  readonly #session: Session;
  readonly #writer: LayoutWriter;
  readonly #plan: DiskToPack;
  readonly #sequencer = new Sequencer();

  constructor(session: Session, writer: LayoutWriter, plan: DiskToPack) {
    this.#session = session;
    this.#writer = writer;
    this.#plan = plan;
  }

  async pack(parts: readonly Extent[]): Promise<EncodedChunk[]> {
    const { signal } = this.#session;
    const jobs = new Map(parts.map((part) => [this.#jobFor(part), part]));
    const chunks: EncodedChunk[] = [];
    const abort = (): void => this.#sequencer.fail(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    try {
      await runLocally(this.#session, {
        jobs: [...jobs.keys()],
        // One more than threads, so that they are busy while a chunk is written.
        concurrency: Math.min(this.#session.processors + 1, MOST_WAITING),
        onBytes: () => undefined,
        onWork: (diskBytes) => this.#session.emit({ kind: 'worked', subject: this.#plan.subject, diskBytes }),
        onMoved: (job, { diskBytes: done }) => {
          const { index, contentSize: of } = jobs.get(job) ?? { index: 0, contentSize: job.contentSize };
          this.#session.emit({ kind: 'chunk-under-way', subject: this.#plan.subject, index, done, of });
        },
        onDone: async (job, result) => {
          const part = jobs.get(job);
          if (part !== undefined) chunks[part.index] = await this.#add(part, result);
        },
        onFailure: (error) => this.#sequencer.fail(error),
      });
      return chunks;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  #jobFor({ index, offset, contentSize }: Extent): EncodeJob {
    const { disk, spool } = this.#plan;
    return { kind: 'encode', disk, offset, contentSize, spool: `${spool}/${index}` };
  }

  async #add({ index, contentSize }: Extent, encoded: EncodeResult): Promise<EncodedChunk> {
    const { blob, contentDigest, spool, isZero } = encoded;
    const chunk: EncodedChunk = {
      digest: Digest.parse(blob.digest),
      size: blob.size,
      contentSize,
      contentDigest: Digest.parse(contentDigest),
    };
    await this.#sequencer.take(index);
    requireContent(this.#plan, index, chunk);
    await this.#writer.blob(chunk, () => readWindow(spool, 0, chunk.size, this.#session.signal));
    if (!isZero) await removeEntry(spool); // Zeros are short, and others may wait with the same.
    this.#sequencer.pass();
    const zero = isZero ? { isZero } : {};
    this.#session.emit({ kind: 'chunk-done', subject: this.#plan.subject, index, bytes: contentSize, ...zero });
    return chunk;
  }
}

/** Lets tasks that arrive in any order continue in the order of their numbers. */
class Sequencer {
  readonly #waiting = new Map<number, { readonly go: () => void; readonly fail: (error: unknown) => void }>();
  #next = 0;
  #failure: { readonly error: unknown } | undefined;

  /** Resolves when all before have {@link pass}ed. @throws what {@link fail} was told. */
  async take(number: number): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error;
    if (number === this.#next) return;
    await new Promise<void>((go, fail) => {
      this.#waiting.set(number, { go, fail });
    });
  }

  pass(): void {
    this.#next += 1;
    this.#waiting.get(this.#next)?.go();
    this.#waiting.delete(this.#next);
  }

  /** From here on no turn comes. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    for (const { fail } of this.#waiting.values()) fail(error);
    this.#waiting.clear();
  }
}

/** Nothing unverified leaves the cache: what is exported is what was pulled. */
function requireContent(plan: DiskToPack, index: number, { contentDigest }: EncodedChunk): void {
  const expected = plan.original?.[index]?.contentDigest;
  // No known tool writes other digests; of such a digest this function cannot tell.
  if (expected === undefined || expected.algorithm !== 'sha256' || expected.equals(contentDigest)) return;
  throw damaged(plan, `chunk ${index} of its disk hashes to ${contentDigest.toString()}`);
}

function damaged({ subject, disk }: DiskToPack, why: string): TartletError {
  return new TartletError('STORE_DAMAGED', `${subject} is damaged in the cache: ${why}`, {
    subject: disk,
    kept: 'nothing was exported',
    next: { kind: 'pull-anew', image: subject, meant: 'subject' },
  });
}

function evenSizes(size: number, step: number): number[] {
  return Array.from({ length: Math.ceil(size / step) }, (_, index) => Math.min(step, size - index * step));
}
