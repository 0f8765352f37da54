import { fetchChunk } from '../../chunks/chunk-fetch.ts';
import { onDisk } from '../../fs/disk-error.ts';
import { type ByteRange, openForReading, readRange, requireWithin } from '../../fs/disk/read-range.ts';
import { createFile } from '../../fs/entry.ts';
import { removeEntry } from '../../fs/remove.ts';
import { Scratch } from '../../home/scratch.ts';
import type { DiskChunk, FlatImage } from '../../oci/tart-image.ts';
import type { BlobFetcher } from '../../registry/contract.ts';
import type { Session } from '../../session/session.ts';
import { RemotePieces } from './remote-pieces.ts';

/** What reading needs of a session. */
export type RemoteDiskSession = Pick<Session, 'home' | 'platform' | 'temporaryDirectory' | 'signal' | 'emit'>;

/** So many chunks are kept decoded: what reads a partition table goes back and forth between the two ends of a disk. */
const KEPT_CHUNKS = 4;

/**
 * Reads parts of a disk that lies in a registry, without the rest of it. What is read is verified: by pieces of a MiB
 * where the image has an index of them; otherwise a chunk is fetched as a whole and compared with the digest of its
 * blob and that of its content before a byte of it is handed out.
 */
export class RemoteDisk {
  /** Bytes. */
  readonly size: number;
  readonly #chunks: readonly DiskChunk[];
  readonly #subject: string;
  readonly #client: BlobFetcher;
  readonly #session: RemoteDiskSession;
  readonly #pieces: RemotePieces;
  /** Files of decoded chunks by the digest of their content, that first which was used least recently. */
  readonly #decoded = new Map<string, Promise<string>>();
  #scratch: Promise<Scratch> | undefined;

  /** @param subject the image as its user calls it, for events and messages. */
  constructor(
    image: FlatImage,
    { subject, client, session }: { subject: string; client: BlobFetcher; session: RemoteDiskSession },
  ) {
    this.size = image.base.size;
    this.#chunks = image.base.chunks;
    this.#subject = subject;
    this.#client = client;
    this.#session = session;
    this.#pieces = new RemotePieces(image, { subject, client, session });
  }

  /**
   * @returns exactly the bytes of the range.
   * @throws TartletError `USAGE` for a range that is not on the disk, `DIGEST_MISMATCH`, `CHUNK_CORRUPT`, `DISK_*`, and
   * what the registry client throws.
   */
  async read({ offset, length }: ByteRange): Promise<Uint8Array> {
    requireWithin({ offset, length }, this.size);
    const bytes = new Uint8Array(length);
    for (const chunk of this.#chunks) {
      const from = Math.max(offset, chunk.offset);
      const to = Math.min(offset + length, chunk.offset + chunk.size);
      if (from < to) await this.#readChunk(chunk, from - chunk.offset, bytes.subarray(from - offset, to - offset));
    }
    return bytes;
  }

  /** Removes what was decoded. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#decoded.values());
    this.#decoded.clear();
    await (await this.#scratch)?.dispose();
    this.#scratch = undefined;
  }

  async #readChunk(chunk: DiskChunk, position: number, target: Uint8Array): Promise<void> {
    const isDecoded = this.#decoded.has(chunk.contentDigest.toString());
    if (!isDecoded && (await this.#pieces.read(chunk, position, target))) return;
    const file = await this.#decode(chunk);
    const handle = await openForReading(file);
    try {
      await readRange(handle, file, position, target);
    } finally {
      await handle.close();
    }
  }

  /** @returns the file that holds the content of a chunk, verified. Two readers of one chunk fetch it once. */
  async #decode(chunk: DiskChunk): Promise<string> {
    const key = chunk.contentDigest.toString();
    const known = this.#decoded.get(key);
    this.#decoded.delete(key);
    const decoded = known ?? this.#fetch(chunk);
    this.#decoded.set(key, decoded);
    try {
      const file = await decoded;
      await this.#forget();
      return file;
    } catch (error) {
      // The next reader tries again.
      if (this.#decoded.get(key) === decoded) this.#decoded.delete(key);
      throw error;
    }
  }

  async #fetch({ descriptor, contentDigest, size }: DiskChunk): Promise<string> {
    this.#scratch ??= Scratch.createSpool(this.#session);
    const { directory } = await this.#scratch;
    const file = `${directory}/${contentDigest.hex}`;
    const { signal, emit } = this.#session;
    await onDisk('create', file, async () => {
      const handle = await createFile(file, 'empty');
      try {
        await handle.truncate(size);
      } finally {
        await handle.close();
      }
    });
    await fetchChunk(
      {
        kind: 'fetch',
        blob: { digest: descriptor.digest.toString(), size: descriptor.size },
        contentDigest: contentDigest.toString(),
        contentSize: size,
        disk: file,
        offsets: [0],
        fresh: true,
      },
      { client: this.#client, signal, onBytes: (count) => emit({ kind: 'bytes', subject: this.#subject, count }) },
    );
    return file;
  }

  async #forget(): Promise<void> {
    const [oldest] = this.#decoded;
    if (oldest === undefined || this.#decoded.size <= KEPT_CHUNKS) return;
    this.#decoded.delete(oldest[0]);
    await removeEntry(await oldest[1]);
  }
}
