import type { Digest } from '../../names/digest.ts';
import type { Content } from '../../server/contract/content.ts';

/** Where a blob comes from when it is not here. */
export interface BlobOrigin {
  /**
   * The host of the upstream, as text that is the same for the same host. Only clients of one upstream share a flight:
   * otherwise an upstream that is slow or lies would be waited for by the clients of others.
   */
  readonly upstream: string;
  /**
   * Whether only what this upstream itself brings may be given: it has not shown yet that it has the blob, and what
   * another one brought may not be for its clients. Default: what is here is given, from any upstream.
   */
  readonly onlyOwn?: boolean | undefined;
  /**
   * Bytes of the blob: known from a manifest, or asked for.
   * @throws what the upstream says, for the client that asked.
   */
  size(signal: AbortSignal): Promise<number>;
  /**
   * The bytes from `from` on, as they arrive, up to before `to`, or else to the end. Not verified; each piece is done
   * with before the next is asked for. Breaks are continued inside where that is possible: when this throws, nothing
   * more is to be had from this origin. Leaving the loop early closes the connection.
   */
  read(from: number, signal: AbortSignal, to?: number): AsyncIterable<Uint8Array>;
}

/** A blob on its way to one client. */
export interface BlobContent extends Content {
  readonly size: number;
}

/** What the cache did since it was opened, and has. */
export interface BlobCacheStats {
  /** Blobs that are here, whole and verified. */
  readonly stored: number;
  /** Bytes on the disk: of these, of begun ones, and what those under way will be. */
  readonly heldBytes: number;
  /** Blobs on their way here. */
  readonly flights: number;
  /** Bytes that came from upstreams. */
  readonly fetchedBytes: number;
  /** Of these, bytes that went to one client alone, because the disk had no room or a range was far ahead. */
  readonly passedBytes: number;
  /** Bytes that were read for clients. */
  readonly servedBytes: number;
  /** How often a blob was asked for that was here. */
  readonly hits: number;
  /** How often one was asked for that was not, whether a flight was under way or not. */
  readonly misses: number;
  /** Blobs, whole or begun, that made room for others. */
  readonly evicted: number;
}

/**
 * The blobs of a site cache: whole ones by their digests, and those on their way here. Access is not its business:
 * whether a client may have a blob is decided before it is asked.
 */
export interface CachedBlobs {
  /** A blob that is here, whole and verified: nothing is asked of an upstream. The caller closes. */
  find(digest: Digest): Promise<BlobContent | undefined>;
  /**
   * A blob that may not be here yet. The first that is read from begins the one flight for all who want the same of the
   * same upstream; the others join it. A read waits for bytes that have not arrived; the last byte is given when the
   * digest of the whole is verified, so that nothing wrong ever looks whole. The caller closes.
   * @throws what `origin.size` throws.
   */
  open(digest: Digest, origin: BlobOrigin): Promise<BlobContent>;
  stats(): BlobCacheStats;
}
