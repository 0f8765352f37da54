import { isTartletError } from '../../errors.ts';
import type { BlobIdentity, Descriptor } from '../../oci/descriptor.ts';
import { isNonDistributable } from '../../oci/media-type.ts';
import type { BlobSource } from '../../registry/client.ts';
import type { BlobFetcher, BlobLookup, BlobPusher, ManifestTarget, RepositoryPlace } from '../../registry/contract.ts';
import { keptBlobs } from '../kept-blobs.ts';
import { inLanes } from '../../chunks/lanes.ts';
import type { Session } from '../../session/session.ts';
import { VerifiedBlob } from './verified-blob.ts';

/** From where to where blobs are copied, and how. */
export interface CopyRoute {
  readonly source: BlobFetcher & BlobLookup & RepositoryPlace;
  readonly target: BlobPusher & ManifestTarget & RepositoryPlace;
  /** The name that events bear. */
  readonly subject: string;
  /** Most blobs at once. */
  readonly concurrency: number;
  /** Upload each blob in PATCH requests of this many bytes; undefined: one PUT. */
  readonly uploadChunkBytes: number | undefined;
  /** A blob that need not come from the source, because a verified copy of it is at hand. */
  readonly atHand?: (blob: Descriptor) => Promise<BlobSource | undefined>;
  /** What to tell when the source fails. */
  readonly explainSource?: (error: unknown) => unknown;
}

/** So often a registry may refuse to mount before it is not asked any more: some never do. */
const MOUNT_ATTEMPTS = 3;

/** Copies blobs between two repositories, as they are. */
export class BlobCopier {
  readonly #session: Session;
  readonly #route: CopyRoute;
  /** Refusals to mount in a row. */
  #mountRefusals = 0;
  /** Bytes that were sent and count. */
  sentBytes = 0;
  #there = 0;
  #all = 0;

  constructor(session: Session, route: CopyRoute) {
    this.#session = session;
    this.#route = route;
  }

  /** What a repeated copy need not bring, for an error; undefined when that is nothing. */
  get kept(): string | undefined {
    return keptBlobs(this.#there, this.#all, 'blobs');
  }

  /**
   * Brings every blob to the target: those that it lacks are mounted within a registry, else they stream from the
   * source, verified on the way.
   *
   * @throws TartletError of both registries; `DIGEST_MISMATCH` when the source sends other bytes twice. Nothing damaged
   * is stored.
   */
  async copy(blobs: readonly Descriptor[]): Promise<void> {
    const { signal } = this.#session;
    const { concurrency, subject } = this.#route;
    const unique = [...new Map(blobs.map((blob) => [blob.digest.toString(), blob])).values()];
    const missing = new Set<Descriptor>();
    this.#all = unique.length;
    await inLanes(unique, concurrency, signal, async (blob, _, either) => {
      if (await this.#isThere(blob, either)) this.#there += 1;
      else missing.add(blob);
    });
    this.#session.emit({
      kind: 'started',
      subject,
      direction: 'copy',
      bytesTotal: bytesOf([...missing]),
      diskBytes: bytesOf(unique),
      chunks: unique.length,
    });
    for (const [index, blob] of unique.entries()) {
      if (!missing.has(blob)) this.#session.emit({ kind: 'chunk-reused', subject, index, bytes: blob.size });
    }
    await inLanes(unique, concurrency, signal, async (blob, index, either) => {
      if (!missing.has(blob)) return;
      await this.#bring(blob, either);
      this.#there += 1;
      this.#session.emit({ kind: 'chunk-done', subject, index, bytes: blob.size });
    });
  }

  /** Uploads blobs whatever the target says of them: it claimed to have them, and does not (reliability Q16). */
  async copyAgain(blobs: readonly Descriptor[]): Promise<void> {
    const { signal } = this.#session;
    await inLanes(blobs, this.#route.concurrency, signal, async (blob, _, either) => this.#bring(blob, either));
  }

  async #isThere(blob: Descriptor, signal: AbortSignal): Promise<boolean> {
    const { source, target } = this.#route;
    if (await target.blobExists(blob, { action: 'push', signal })) return true;
    const isOneRegistry = source.registry.equals(target.registry);
    if (isOneRegistry && this.#mountRefusals < MOUNT_ATTEMPTS) {
      const mounted = await target.mountBlob(blob, source.repository, { signal });
      this.#mountRefusals = mounted ? 0 : this.#mountRefusals + 1;
      if (mounted) return true;
    }
    // Others who copied the image had to leave it out, too.
    return isNonDistributable(blob.mediaType) && !(await source.blobExists(blob, { signal }));
  }

  async #bring(blob: Descriptor, signal: AbortSignal): Promise<void> {
    const atHand = await this.#route.atHand?.(blob);
    if (atHand !== undefined) return this.#upload(atHand, signal);
    await this.#send(blob, signal);
  }

  /**
   * What was damaged on the way is not damaged twice; what is damaged there is (reliability C1). Another place where it
   * could come from does not count.
   */
  async #send(blob: Descriptor, signal: AbortSignal): Promise<void> {
    const { source } = this.#route;
    for (let isLast = false; ; ) {
      const stream = new VerifiedBlob(source, blob, signal);
      try {
        await this.#upload(stream, signal);
        return;
      } catch (error) {
        if (stream.failure === undefined) throw error;
        const isDamaged = isTartletError(stream.failure.error, 'DIGEST_MISMATCH');
        const isElsewhere = isDamaged && (source.distrust?.(blob) ?? false);
        if (!isDamaged || (isLast && !isElsewhere)) throw this.#sourceError(stream.failure.error);
        isLast = !isElsewhere;
      }
    }
  }

  #sourceError(error: unknown): unknown {
    return this.#route.explainSource?.(error) ?? error;
  }

  async #upload(blob: BlobSource, signal: AbortSignal): Promise<void> {
    const { target, uploadChunkBytes } = this.#route;
    let sent = 0;
    try {
      await target.uploadBlob(blob, {
        signal,
        onBytes: (count) => {
          sent += count;
          this.#count(count);
        },
        chunkBytes: uploadChunkBytes,
      });
    } catch (error) {
      this.#count(-sent);
      throw error;
    }
  }

  #count(count: number): void {
    if (count === 0) return;
    this.sentBytes += count;
    this.#session.emit({ kind: 'bytes', subject: this.#route.subject, count });
  }
}

function bytesOf(blobs: readonly BlobIdentity[]): number {
  return blobs.reduce((sum, { size }) => sum + size, 0);
}
