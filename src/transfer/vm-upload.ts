import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { TartletError } from '../errors.ts';
import { onDisk } from '../home/disk-error.ts';
import { Scratch } from '../home/scratch.ts';
import { Digest } from '../names/digest.ts';
import type { RemoteName } from '../names/remote-name.ts';
import type { BlobIdentity, EncodedChunk } from '../oci/flat-manifest.ts';
import type { BlobSource, RegistryClient } from '../registry/client.ts';
import type { PushJob, PushResult } from './chunk-job.ts';
import { DEFAULT_CONCURRENCY } from './pull.ts';
import type { Session } from './session.ts';
import { WorkerPool } from './worker-pool.ts';

/** Tart's chunk of a disk since 2.14.0, in bytes. Other sizes work, but chunks of equal size are shared between tools. */
export const DISK_CHUNK_BYTES = 512 * 1024 * 1024;

/** A manifest of so many chunks stays below the 4 MiB that every registry takes (distribution spec § pushing manifests). */
const MAX_CHUNKS = 9_900;

export interface PushOptions {
  readonly insecure?: boolean;
  readonly concurrency?: number;
  /** Upload each blob in PATCH requests of this many bytes; default: one PUT. */
  readonly uploadChunkBytes?: number;
  readonly labels?: ReadonlyMap<string, string>;
  /** Bytes of disk per chunk, default {@link DISK_CHUNK_BYTES}. */
  readonly diskChunkBytes?: number;
}

/** The blobs of one VM on their way into one repository. */
export class VmUpload {
  readonly #session: Session;
  readonly #client: RegistryClient;
  readonly #subject: string;
  readonly #options: PushOptions;
  /** Chunks that are in the registry, by their offset. */
  readonly #chunks = new Map<number, EncodedChunk>();
  /** Blobs that the registry turned out not to have, although it said so. */
  #distrusted: readonly Digest[] | 'all' = [];
  sentBytes = 0;

  constructor(session: Session, client: RegistryClient, name: RemoteName, options: PushOptions) {
    this.#session = session;
    this.#client = client;
    this.#subject = name.toString();
    this.#options = options;
  }

  #count(bytes: number): void {
    this.sentBytes += bytes;
    this.#session.emit({ kind: 'bytes', subject: this.#subject, count: bytes });
  }

  /**
   * From now on these blobs are sent whatever the registry says of them; all, when it did not name any (reliability Q16).
   * What is asked for again then goes up again.
   */
  distrust(unknown: readonly Digest[]): void {
    this.#distrusted = unknown.length === 0 ? 'all' : unknown;
    for (const [offset, { digest }] of this.#chunks) if (this.#isDistrusted(digest)) this.#chunks.delete(offset);
  }

  #isDistrusted(digest: Digest): boolean {
    return this.#distrusted === 'all' || this.#distrusted.some((each) => each.equals(digest));
  }

  async bytes(bytes: Uint8Array): Promise<BlobIdentity> {
    const digest = Digest.sha256(createHash('sha256').update(bytes).digest('hex'));
    return this.#blob({ digest, size: bytes.length, open: (from, to) => bytes.subarray(from, to) });
  }

  async file(path: string): Promise<BlobIdentity> {
    const hash = createHash('sha256');
    let size = 0;
    await onDisk('read', path, async () => {
      for await (const piece of createReadStream(path) as AsyncIterable<Uint8Array>) {
        hash.update(piece);
        size += piece.length;
      }
    });
    const digest = Digest.sha256(hash.digest('hex'));
    return this.#blob({ digest, size, open: (from, to) => createReadStream(path, { start: from, end: to - 1 }) });
  }

  async #blob(blob: BlobSource): Promise<BlobIdentity> {
    const { signal } = this.#session;
    if (this.#isDistrusted(blob.digest) || !(await this.#client.blobExists(blob, { signal }))) {
      const chunkBytes = this.#options.uploadChunkBytes;
      await this.#client.uploadBlob(blob, {
        signal,
        onBytes: (count) => this.#count(count),
        ...(chunkBytes === undefined ? {} : { chunkBytes }),
      });
    }
    return { digest: blob.digest, size: blob.size };
  }

  /** @throws TartletError `MANIFEST_TOO_LARGE` before anything is sent when there would be more chunks than a manifest can name. */
  async disk(path: string, size: number): Promise<EncodedChunk[]> {
    const step = this.#options.diskChunkBytes ?? DISK_CHUNK_BYTES;
    const count = Math.ceil(size / step);
    if (count > MAX_CHUNKS) throw tooManyChunks(path, size, count);
    const offsets = Array.from({ length: count }, (_, index) => index * step);
    const scratch = await Scratch.create(this.#session.home, this.#session.platform);
    const pool = await this.#pool();
    try {
      const jobs = offsets.flatMap((offset, index) =>
        this.#chunks.has(offset) ? [] : this.#job(path, size, index, scratch),
      );
      this.#session.emit({
        kind: 'started',
        subject: this.#subject,
        direction: 'push',
        bytesTotal: undefined,
        diskBytes: size,
        chunks: count,
      });
      await pool.runAll(jobs, (job, result) => this.#finished(job, result, job.offset / step));
      return offsets.flatMap((offset) => this.#chunks.get(offset) ?? []);
    } finally {
      await pool.close();
      await scratch.dispose();
    }
  }

  #job(disk: string, size: number, index: number, scratch: Scratch): PushJob {
    const step = this.#options.diskChunkBytes ?? DISK_CHUNK_BYTES;
    return {
      kind: 'push',
      disk,
      offset: index * step,
      contentSize: Math.min(step, size - index * step),
      spool: `${scratch.folder}/chunk-${index}`,
      uploadChunkBytes: this.#options.uploadChunkBytes,
      // Only chunks that are to go up again are asked for twice.
      sendAnyway: this.#distrusted === 'all' || this.#distrusted.length > 0,
    };
  }

  #finished({ offset, contentSize }: PushJob, result: PushResult, index: number): void {
    this.#chunks.set(offset, {
      digest: Digest.parse(result.blob.digest),
      size: result.blob.size,
      contentSize: result.contentSize,
      contentDigest: Digest.parse(result.contentDigest),
    });
    const kind = result.uploaded ? 'chunk-done' : 'chunk-reused';
    this.#session.emit({ kind, subject: this.#subject, index, bytes: contentSize });
  }

  async #pool(): Promise<WorkerPool> {
    const { userAgent, environment, limits, signal } = this.#session;
    return new WorkerPool({
      client: this.#client,
      settings: {
        userAgent,
        environment,
        insecure: this.#options.insecure ?? false,
        endpoint: await this.#client.endpoint(),
        limits,
      },
      concurrency: Math.max(1, this.#options.concurrency ?? DEFAULT_CONCURRENCY),
      signal,
      onBytes: (count) => this.#count(count),
      onWait: (reason, waitMs) => this.#session.emit({ kind: 'retrying', subject: this.#subject, reason, waitMs }),
    });
  }
}

function tooManyChunks(disk: string, bytes: number, count: number): TartletError {
  const mebibytes = Math.ceil(bytes / MAX_CHUNKS / 1024 ** 2);
  return new TartletError(
    'MANIFEST_TOO_LARGE',
    `a disk of ${bytes} bytes would have ${count} chunks, at most ${MAX_CHUNKS} fit`,
    {
      subject: disk,
      kept: 'nothing was sent',
      next: `use chunks of ${mebibytes} MiB or more (--layer-size ${mebibytes})`,
    },
  );
}
