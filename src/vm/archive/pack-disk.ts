import { rm } from 'node:fs/promises';
import { TartletError } from '../../errors.ts';
import { Digest } from '../../names/digest.ts';
import type { EncodedChunk } from '../../oci/flat-manifest.ts';
import type { DiskChunk } from '../../oci/tart-image.ts';
import { type DiskStretch, encodeChunk, isAllZero } from '../../transfer/chunk-encode.ts';
import { readWindow } from '../../transfer/disk-window.ts';
import { DISK_CHUNK_BYTES } from '../../transfer/push.ts';
import type { Session } from '../../transfer/session.ts';
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
  /** A file for one encoded chunk, gone afterwards: a tar file says how long an entry is before its first byte. */
  readonly spool: string;
}

/**
 * Adds all chunks of a disk to an archive, in order. Memory and spool hold one chunk at most.
 *
 * @throws TartletError `STORE_DAMAGED` when a chunk is not what the original says, `CHUNK_CORRUPT`, `DISK_*`
 */
export async function packDisk(session: Session, writer: LayoutWriter, plan: DiskToPack): Promise<EncodedChunk[]> {
  const { disk, size, subject, original, spool } = plan;
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
  const encoder = new SpoolEncoder(spool, session.signal);
  const chunks: EncodedChunk[] = [];
  let offset = 0;
  try {
    for (const [index, contentSize] of sizes.entries()) {
      const chunk = await encoder.encode({ disk, offset, contentSize });
      requireContent(plan, index, chunk);
      await writer.blob(chunk, () => readWindow(spool, 0, chunk.size, session.signal));
      chunks.push(chunk);
      offset += contentSize;
      session.emit({ kind: 'chunk-done', subject, index, bytes: contentSize });
    }
  } finally {
    await rm(spool, { force: true });
  }
  return chunks;
}

/** Encodes chunks one after another into the same file. */
class SpoolEncoder {
  readonly #spool: string;
  readonly #signal: AbortSignal;
  /** Stretches of zeros, by length: a sparse disk has hundreds, and all become the same blob. */
  readonly #zeroChunks = new Map<number, EncodedChunk>();

  constructor(spool: string, signal: AbortSignal) {
    this.#spool = spool;
    this.#signal = signal;
  }

  /** A chunk of zeros that was encoded before is not put into the file again: the archive has it. */
  async encode(stretch: DiskStretch): Promise<EncodedChunk> {
    const zero = await isAllZero(stretch, this.#signal);
    const known = zero ? this.#zeroChunks.get(stretch.contentSize) : undefined;
    if (known !== undefined) return known;
    const { blob, contentDigest } = await encodeChunk(stretch, this.#spool, this.#signal);
    const chunk: EncodedChunk = {
      digest: Digest.parse(blob.digest),
      size: blob.size,
      contentSize: stretch.contentSize,
      contentDigest: Digest.parse(contentDigest),
    };
    if (zero) this.#zeroChunks.set(stretch.contentSize, chunk);
    return chunk;
  }
}

/** Nothing unverified leaves the cache: what is exported is what was pulled. */
function requireContent(plan: DiskToPack, index: number, { contentDigest }: EncodedChunk): void {
  const expected = plan.original?.[index]?.contentDigest;
  // Nobody writes other digests; if somebody does, this cannot tell.
  if (expected === undefined || expected.algorithm !== 'sha256' || expected.equals(contentDigest)) return;
  throw damaged(plan, `chunk ${index} of its disk hashes to ${contentDigest.toString()}`);
}

function damaged({ subject, disk }: DiskToPack, why: string): TartletError {
  return new TartletError('STORE_DAMAGED', `${subject} is damaged in the cache: ${why}`, {
    subject: disk,
    kept: 'nothing was exported',
    next: `delete it and pull it again (tartlet delete ${subject})`,
  });
}

function evenSizes(size: number, step: number): number[] {
  return Array.from({ length: Math.ceil(size / step) }, (_, index) => Math.min(step, size - index * step));
}
