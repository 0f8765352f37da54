import { onDisk } from '../../fs/disk-error.ts';
import type { FileState } from '../../fs/file-state.ts';
import { openPlainFile } from '../../fs/plain-file.ts';
import { Scratch } from '../../home/scratch.ts';
import { Digest } from '../../names/digest.ts';
import type { RemoteName } from '../../names/remote-name.ts';
import type { BlobIdentity } from '../../oci/descriptor.ts';
import type { EncodedChunk } from '../../oci/flat-manifest.ts';
import type { BlobSource } from '../../registry/client.ts';
import type { BlobPusher, SharedClient } from '../../registry/contract.ts';
import { onlySource } from '../../registry/mirrors/registry-source.ts';
import type { PushJob } from '../../chunks/chunk-job.ts';
import { contentsOf, cutDisk, type Extent } from '../../chunks/disk-cut.ts';
import { type DiskHistory, isWorthHashing, sourcesOfBlobs } from './disk-history.ts';
import { fileBytes } from '../../chunks/file-blob.ts';
import { grouped } from '../../chunks/grouped.ts';
import { keptBlobs } from '../kept-blobs.ts';
import { bringKnownBlob, type KnownBlob } from '../known-blob.ts';
import { onlyInPieces, type PieceIndexSource } from './known-pieces.ts';
import { inLanes } from '../../chunks/lanes.ts';
import { DEFAULT_CONCURRENCY } from '../../session/concurrency.ts';
import type { Session } from '../../session/session.ts';
import { hashExtents, type PushedHow, pushExtents } from './extent-push.ts';
import { WorkerPool } from '../../chunks/worker-pool.ts';

/** How a disk is cut and sent. */
export interface PushOptions {
  readonly insecure?: boolean | undefined;
  readonly concurrency?: number | undefined;
  /** Upload each blob in PATCH requests of this many bytes; default: one PUT. */
  readonly uploadChunkBytes?: number | undefined;
  readonly labels?: ReadonlyMap<string, string> | undefined;
  /** Bytes of disk per chunk; default: as the image that the VM was cloned from, else Tart's 512 MiB. */
  readonly diskChunkBytes?: number | undefined;
  /** Encode the disk in pieces, and push an index of them (`oci/piece-index.ts`). Default: false. */
  readonly pieces?: boolean | undefined;
}

/** The blobs of one VM on their way into one repository. */
export class VmUpload {
  readonly #session: Session;
  readonly #client: BlobPusher & SharedClient & PieceIndexSource;
  readonly #name: RemoteName;
  readonly #subject: string;
  readonly #options: PushOptions;
  /** Chunks that are in the registry, by their offset. */
  readonly #chunks = new Map<number, EncodedChunk>();
  /** Blobs that the registry turned out not to have, although it said so. */
  #distrusted: readonly Digest[] | 'all' = [];
  sentBytes = 0;
  /** Of the whole disk; 0 before it was looked at. */
  #chunkCount = 0;

  constructor(
    session: Session,
    client: BlobPusher & SharedClient & PieceIndexSource,
    name: RemoteName,
    options: PushOptions,
  ) {
    this.#session = session;
    this.#client = client;
    this.#name = name;
    this.#subject = name.toString();
    this.#options = options;
  }

  #count(bytes: number): void {
    this.sentBytes += bytes;
    this.#session.emit({ kind: 'bytes', subject: this.#subject, count: bytes });
  }

  /** What a repeated push need not send, for an error; undefined when that is nothing. */
  get kept(): string | undefined {
    return keptBlobs(this.#chunks.size, this.#chunkCount, 'chunks of the disk');
  }

  /**
   * From now on these blobs are sent whatever the registry says of them; all, when it did not name any (reliability
   * Q16). What is asked for again then goes up again.
   */
  distrust(unknown: readonly Digest[]): void {
    this.#distrusted = unknown.length === 0 ? 'all' : unknown;
    for (const [offset, { digest }] of this.#chunks) if (this.#isDistrusted(digest)) this.#chunks.delete(offset);
  }

  #isDistrusted(digest: Digest): boolean {
    return this.#distrusted === 'all' || this.#distrusted.some((each) => each.equals(digest));
  }

  async bytes(bytes: Uint8Array): Promise<BlobIdentity> {
    const digest = Digest.of(bytes);
    return this.#blob({ digest, size: bytes.length, open: (from, to) => bytes.subarray(from, to) });
  }

  async file(path: string): Promise<BlobIdentity> {
    const { digest, size } = await onDisk('read', path, async () =>
      Digest.ofPieces((await openPlainFile(path)).createReadStream()),
    );
    return this.#blob({ digest, size, open: (from, to) => fileBytes(path, from, to) });
  }

  async #blob(blob: BlobSource): Promise<BlobIdentity> {
    const { signal } = this.#session;
    if (this.#isDistrusted(blob.digest) || !(await this.#client.blobExists(blob, { action: 'push', signal }))) {
      const chunkBytes = this.#options.uploadChunkBytes;
      await this.#client.uploadBlob(blob, {
        signal,
        onBytes: (count) => this.#count(count),
        chunkBytes,
      });
    }
    return { digest: blob.digest, size: blob.size };
  }

  /**
   * The disk, cut into chunks. Those whose content is known from an image of this machine, or from an earlier push, are
   * hashed first, and neither encoded nor sent when the registry has their blob. A disk that was not written to since
   * is not even read.
   *
   * @param state of the disk, before anything of it is read.
   * @throws TartletError `MANIFEST_TOO_LARGE` before anything is sent when there would be more chunks than a manifest
   * can name.
   */
  async disk(path: string, state: FileState, history: DiskHistory): Promise<EncodedChunk[]> {
    const { sizeBytes: size, touched } = state;
    const { base, unmodified } = history;
    const extents = cutDisk(size, this.#options.diskChunkBytes, base);
    const contents = unmodified?.state === touched ? contentsOf(unmodified.disk, extents) : new Map<Extent, string>();
    this.#chunkCount = extents.length;
    const numbers = new Map(extents.map((extent, index) => [extent.offset, index]));
    const [subject, { signal }] = [this.#subject, this.#session];
    const zeros = new Set<Extent>();
    const keep = (extent: Extent, chunk: EncodedChunk, { outcome, ...found }: PushedHow): void => {
      const { offset, size: bytes } = extent;
      this.#chunks.set(offset, chunk);
      const isZero = found.isZero || zeros.has(extent);
      const kind = outcome === 'uploaded' ? 'chunk-done' : 'chunk-reused';
      this.#session.emit({ kind, subject, index: numbers.get(offset) ?? 0, bytes, ...(isZero ? { isZero } : {}) });
    };
    const tell = ({ offset, size: of }: Extent, done: number): void =>
      this.#session.emit({ kind: 'chunk-under-way', subject, index: numbers.get(offset) ?? 0, done, of });
    const scratch = await Scratch.createSpool(this.#session);
    const pool = await this.#pool();
    try {
      this.#begin(size, extents.length);
      const missing = (): Extent[] => extents.filter(({ offset }) => !this.#chunks.has(offset));
      const unread = missing().filter((extent) => !contents.has(extent));
      if (unread.length === 0 || (await isWorthHashing(this.#session, this.#client, size, history))) {
        const diskBytes = unread.reduce((sum, extent) => sum + extent.size, 0);
        this.#session.emit({ kind: 'to-hash', subject, diskBytes });
        await hashExtents(
          pool,
          path,
          unread,
          (extent, { contentDigest, isZero }) => {
            contents.set(extent, contentDigest);
            if (isZero) zeros.add(extent);
          },
          tell,
        );
        for (const find of sourcesOfBlobs(this.#session, this.#name, history)) {
          const wanted = missing();
          if (wanted.length === 0) break;
          const found = await find(new Set(wanted.flatMap((extent) => contents.get(extent) ?? [])));
          const known = this.#options.pieces === true ? await onlyInPieces(this.#client, found, signal) : found;
          await this.#reuse(wanted, contents, known, (extent, chunk) =>
            keep(extent, chunk, { outcome: 'present', isZero: false }),
          );
        }
      }
      const sameContent = grouped(missing(), (extent) => contents.get(extent) ?? `at ${extent.offset}`);
      const jobs = sameContent.map(([first, all]): [PushJob, readonly Extent[]] => [
        { ...this.#job(path, first, scratch), zeros: contents.has(first) ? 'send' : 'tell' },
        all,
      ]);
      await pushExtents(pool, new Map(jobs), keep, tell);
      return extents.flatMap(({ offset }) => this.#chunks.get(offset) ?? []);
    } finally {
      this.#session.emit({ kind: 'spent', subject: this.#subject, threads: pool.threads, spent: pool.spent });
      await pool.close();
      await scratch.dispose();
    }
  }

  /** Settles extents for which the repository has, or can mount, a blob that we know. */
  async #reuse(
    extents: readonly Extent[],
    contents: ReadonlyMap<Extent, string>,
    known: ReadonlyMap<string, KnownBlob & Pick<EncodedChunk, 'entries'>>,
    onReused: (extent: Extent, chunk: EncodedChunk) => void,
  ): Promise<void> {
    const isThere = new Map<string, Promise<boolean>>();
    const width = Math.max(1, this.#options.concurrency ?? DEFAULT_CONCURRENCY);
    await inLanes(extents, width, this.#session.signal, async (extent, _, signal) => {
      const content = contents.get(extent) ?? '';
      const blob = known.get(content);
      if (blob === undefined || this.#isDistrusted(blob.chunk.descriptor.digest)) return;
      // Many extents may have one content: the registry is asked once.
      const asked = isThere.get(content) ?? bringKnownBlob(this.#client, blob, signal);
      isThere.set(content, asked);
      if (!(await asked)) return;
      const { digest, size } = blob.chunk.descriptor;
      const { contentDigest } = blob.chunk;
      onReused(extent, { digest, size, contentSize: extent.size, contentDigest, entries: blob.entries });
    });
  }

  #begin(diskBytes: number, chunks: number): void {
    const subject = this.#subject;
    this.#session.emit({ kind: 'started', subject, direction: 'push', bytesTotal: undefined, diskBytes, chunks });
  }

  #job(disk: string, { offset, size }: Extent, scratch: Scratch): Omit<PushJob, 'zeros'> {
    return {
      kind: 'push',
      disk,
      offset,
      contentSize: size,
      spool: `${scratch.directory}/chunk-${offset}`,
      uploadChunkBytes: this.#options.uploadChunkBytes,
      pieces: this.#options.pieces,
      // Only chunks that are to go up again are asked for twice.
      sendAnyway: this.#distrusted === 'all' || this.#distrusted.length > 0,
    };
  }

  async #pool(): Promise<WorkerPool> {
    const { userAgent, environment, rateLimit, processors, signal } = this.#session;
    await this.#client.endpoint(); // So that no thread has to find it out.
    return new WorkerPool({
      source: onlySource(this.#client),
      settings: { userAgent, environment, rateLimit: rateLimit?.shared },
      concurrency: Math.max(1, this.#options.concurrency ?? DEFAULT_CONCURRENCY),
      processors,
      signal,
      onBytes: (count) => this.#count(count),
      onWork: (job, diskBytes) =>
        this.#session.emit({ kind: job === 'digest' ? 'hashed' : 'worked', subject: this.#subject, diskBytes }),
      onWait: (reason, waitMs) => this.#session.emit({ kind: 'retrying', subject: this.#subject, reason, waitMs }),
    });
  }
}
