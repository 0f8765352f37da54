import { makeDirectoryTree, removeEmptyTree } from '../fs/directory-tree.ts';
import { onDisk } from '../fs/disk-error.ts';
import { removeEntry } from '../fs/remove.ts';
import type { Staging } from '../home/staging.ts';
import type { DiskChunk } from '../oci/tart-image.ts';
import type { FetchJob } from '../chunks/chunk-job.ts';
import type { FileExtent } from '../chunks/file-blob.ts';
import type { WorkerPool } from '../chunks/worker-pool.ts';

/** What a check of blobs is done with. */
export interface BlobCheck {
  readonly pool: WorkerPool;
  /** Any disk that is there; nothing is written to it. */
  readonly disk: string;
  /** Bytes that the blobs may take on the disk meanwhile. */
  readonly roomBytes: number;
}

/** The blobs of a pull that were not seen yet. Blobs are told apart by the text of their digest. */
export class BlobsToCome {
  readonly #staging: Staging;
  readonly #unseen = new Map<string, DiskChunk>();
  readonly #kept = new Map<string, FileExtent>();

  /** @param staging where blobs may be kept; the pull holds its lock. */
  constructor(staging: Staging, chunks: readonly DiskChunk[]) {
    this.#staging = staging;
    this.expect(chunks);
  }

  expect(chunks: readonly DiskChunk[]): void {
    for (const chunk of chunks) this.#unseen.set(chunk.descriptor.digest.toString(), chunk);
  }

  /** Of each blob one of the chunks that it is for. */
  get unseen(): DiskChunk[] {
    return [...this.#unseen.values()];
  }

  /** Bytes of the blobs that were not seen, but for one. */
  bytesBeside(blob: string | undefined): number {
    return this.unseen.reduce(
      (sum, { descriptor }) => sum + (descriptor.digest.toString() === blob ? 0 : descriptor.size),
      0,
    );
  }

  /** One is fetched now, to where it belongs. */
  begin(blob: string | undefined): void {
    if (blob !== undefined) this.#unseen.delete(blob);
  }

  /**
   * Fetches all that were not seen, decodes them, and checks the digests of the blobs and of what they hold. As many as
   * there is room for stay as they came; the others are thrown away.
   *
   * @returns those that were thrown away, and so have to come again.
   * @throws TartletError `DIGEST_MISMATCH`, `SIZE_MISMATCH`, `CHUNK_CORRUPT`, `DISK_*`, and those of the registry
   * client.
   */
  async check({ pool, disk, roomBytes }: BlobCheck): Promise<DiskChunk[]> {
    const again: DiskChunk[] = [];
    const jobs = new Map<FetchJob, DiskChunk>();
    let room = roomBytes;
    for (const chunk of this.unseen) {
      const { digest, size } = chunk.descriptor;
      const isKept = size <= room;
      if (isKept) room -= size;
      jobs.set(this.#checkOf(chunk, disk, isKept ? `${this.#staging.blobsDirectory}/${digest.hex}` : undefined), chunk);
    }
    await makeDirectoryTree(this.#staging.blobsDirectory);
    await pool.runAll([...jobs.keys()], (job) => {
      const { blob, keep: path } = job;
      const chunk = jobs.get(job);
      if (path !== undefined) this.#kept.set(blob.digest, { path, offset: 0, size: blob.size });
      else if (chunk !== undefined) again.push(chunk);
      this.#unseen.delete(blob.digest);
    });
    return again;
  }

  #checkOf({ descriptor, contentDigest, size }: DiskChunk, disk: string, keep: string | undefined): FetchJob {
    return {
      kind: 'fetch',
      blob: { digest: descriptor.digest.toString(), size: descriptor.size },
      contentDigest: contentDigest.toString(),
      contentSize: size,
      disk,
      offsets: [],
      fresh: true,
      keep,
    };
  }

  /** Where a blob is kept. */
  keptAs(blob: string): FileExtent | undefined {
    return this.#kept.get(blob);
  }

  /** A blob that was kept is decoded. */
  async drop(blob: string): Promise<void> {
    const kept = this.#kept.get(blob);
    if (kept === undefined) return;
    this.#kept.delete(blob);
    await onDisk('remove', kept.path, async () => removeEntry(kept.path));
  }

  /** Removes what is kept. */
  async end(): Promise<void> {
    await this.#staging.removeBlobs();
    // Of an image whose record is here nothing else is put there.
    await removeEmptyTree(this.#staging.directory);
  }
}
