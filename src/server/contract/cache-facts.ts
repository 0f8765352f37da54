/** What a site cache did for one repository of an upstream since it was started. */
export interface CachedRepository {
  /** The registry, as it is written: `ghcr.io`, `registry.example:8221`. */
  readonly upstream: string;
  readonly repository: string;
  /**
   * Whether the upstream lets everybody read it, as it last said. What is not public is shown to operators only: its
   * name alone may be a secret.
   */
  readonly isPublic: boolean;
  /** Manifests and blobs that were asked for and were here. */
  readonly hits: number;
  /** The same that were not, and came from the upstream. */
  readonly misses: number;
  /** Answers that were older than they should be, because the upstream did not answer. */
  readonly stale: number;
  /** Requests that ended with a refusal of the upstream, or without an answer of it. */
  readonly failures: number;
  /** Bytes of manifests and blobs that clients got. */
  readonly servedBytes: number;
  /** Bytes of them that came from the upstream. */
  readonly fetchedBytes: number;
  /** Epoch milliseconds. */
  readonly lastUse: number;
}

/** What a site cache is and has done: numbers for those who watch it. */
export interface CacheFacts {
  /** Which upstreams are allowed, as the operator wrote it: `ghcr.io`, `*`. */
  readonly upstreams: readonly string[];
  /** The latest used first; at most 1,000. */
  readonly repositories: readonly CachedRepository[];
  /** How often a blob was asked for that was here, and one that was not, of all repositories together. */
  readonly blobHits: number;
  readonly blobMisses: number;
  /** Bytes of blobs that came from upstreams, and that were read for clients. */
  readonly fetchedBlobBytes: number;
  readonly servedBlobBytes: number;
  /** Blobs on the disk, whole and verified. */
  readonly storedBlobs: number;
  /** Blobs that are arriving now. */
  readonly flights: number;
  /** Blobs that had to go, because the budget was used up. */
  readonly evictedBlobs: number;
}
