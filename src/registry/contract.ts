import type { RegistryAddress } from '../names/registry-address.ts';
import type { Repository } from '../names/repository.ts';
import type { Authenticator } from './auth/authenticator.ts';
import type { BlobReadOptions } from './blobs/blob.ts';
import type { BlobQuestion } from './blobs/blob-lookup.ts';
import type { BlobIdentity } from '../oci/descriptor.ts';
import type { BlobSource, BlobUploadOptions } from './blobs/upload.ts';
import type { RawManifest } from './manifest.ts';
import type { ManifestReference } from './manifest-reference.ts';
import type { Limits } from './request/limits.ts';
import type { SentSecrets } from './request/sent-secrets.ts';
import type { AddressClass } from '../names/ip-address.ts';
import type { OnWire } from './wire.ts';

/*
 * What operations ask of a repository, in small interfaces. `RegistryClient` is all of them for one repository at one
 * address; a reader takes `BlobFetcher` and `ManifestSource`, which something else can be as well: a file of this
 * machine, or several addresses that are asked in turn. So nothing in these two tells where an answer comes from, every
 * answer is bound to what was asked for (a digest, or the bytes themselves hashed), and a blob can be gone on with from
 * any byte at another place.
 *
 * Every method rejects with a TartletError: `NET_*`, `RATE_LIMITED`, `REG_UNAVAILABLE`, `REG_REJECTED`, `AUTH_*`,
 * `REDIRECT_REFUSED` and those it names itself; an aborted signal rejects with the signal's reason.
 */

/** Options for calls that only may be interrupted. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/** Where blobs are read. */
export interface BlobFetcher {
  /**
   * The bytes `[from, to)` of a blob, as they arrive. Broken connections continue at the byte where they broke; exactly
   * the wanted number of bytes comes out, or an error. **Not verified**: the consumer hashes (see `BlobVerifier`).
   * Leaving the loop early closes the connection.
   * @throws TartletError while iterating: `NOT_FOUND`, `SIZE_MISMATCH`.
   */
  blob(blob: BlobIdentity, options?: BlobReadOptions): AsyncIterable<Uint8Array>;
  /**
   * Told that what came for a blob is not that blob. Absent where there is only one place that it can come from.
   * @returns whether the next call for it asks elsewhere.
   */
  distrust?(blob: BlobIdentity): boolean;
  /**
   * What failed may have been mended meanwhile: the next call asks everywhere. Absent where there is only one place.
   */
  askAllAgain?(): void;
}

/** Where it can be asked which blobs there are. */
export interface BlobLookup {
  /** Whether the repository has the blob. A length that the registry tells and that is not `size` bytes means no. */
  blobExists(blob: BlobIdentity, question?: BlobQuestion): Promise<boolean>;
}

/** Where blobs are sent. */
export interface BlobPusher extends BlobLookup {
  /**
   * Uploads a blob; the registry verifies its digest. An answer that got lost is looked up rather than sent again.
   * @throws TartletError `UPLOAD_REJECTED`, `UPLOAD_LOST`.
   */
  uploadBlob(blob: BlobSource, options?: BlobUploadOptions): Promise<void>;
  /** Asks for a blob of another repository of this registry. False: it was not given, upload it. */
  mountBlob(blob: BlobIdentity, from: Repository, options?: CallOptions): Promise<boolean>;
}

/** How a manifest is read. */
export interface ManifestOptions extends CallOptions {
  /**
   * Whether a manifest is the one that is meant. Where there is another place to ask, it is asked instead: a mirror may
   * be behind. The last one's answer is given whatever it is. Default: every manifest is.
   */
  readonly isMeant?: ((manifest: RawManifest) => boolean) | undefined;
}

/** Where manifests are read. */
export interface ManifestSource {
  /**
   * The manifest, verified: its digest is computed from its bytes and compared with the digest asked for.
   * @throws TartletError `NOT_FOUND`, `DIGEST_MISMATCH`, `MANIFEST_TOO_LARGE` (16 MiB), `NET_PROTOCOL` for an HTML
   * page.
   */
  manifest(reference: ManifestReference, options?: ManifestOptions): Promise<RawManifest>;
}

/** Where manifests are stored. */
export interface ManifestTarget {
  /**
   * Stores a manifest byte for byte. Repeating it is harmless. Where the registry did not answer 201, it is asked
   * whether it has it.
   * @throws TartletError `DIGEST_MISMATCH` when the registry stored something else, `REG_REJECTED`,
   * `MANIFEST_TOO_LARGE` (4 MiB).
   */
  putManifest(reference: ManifestReference, bytes: Uint8Array, mediaType: string, options?: CallOptions): Promise<void>;
}

/** Which repository it is, to compare two. */
export interface RepositoryPlace {
  readonly registry: RegistryAddress;
  readonly repository: Repository;
}

/** What a client found out about the address in use: a client in another thread goes on from there. */
export interface KnownEndpoint extends RepositoryPlace {
  /** Whether plain HTTP was asked for. */
  readonly isInsecure: boolean;
  /** The kinds of networks that the registry was reached on: a plain-HTTP name is not followed to another (S9). */
  readonly networks: readonly AddressClass[];
  /**
   * The largest part of an upload that the registry is known to take, in bytes; undefined as long as nothing was too
   * large.
   */
  readonly partBytes: number | undefined;
  /** The base URL in use, e.g. `https://ghcr.io`; probes a loopback registry for TLS the first time. */
  endpoint(): Promise<string>;
  /**
   * What was found out by now, of which nothing is asked: the base URL, and whether the registry ever answered. Until
   * then a refused connection is a wrong name, and afterwards a network that is down for a while.
   */
  readonly known: { readonly base: string | undefined; readonly isReached: boolean };
}

/** What the clients of one undertaking share, each in a thread of its own: they are one to the registry. */
export interface SharedClient extends KnownEndpoint {
  /** Authenticates requests (see `auth/authenticator-port.ts`). */
  readonly authenticator: Authenticator;
  /** How long, how much and how often. */
  readonly limits: Limits;
  /** What must not be shown. */
  readonly secrets: SentSecrets;
  /** The listener that is told of requests and answers. */
  readonly onWire: OnWire | undefined;
  /**
   * Holds back all requests to a host for so many milliseconds, because another client learned that it wants to be
   * spared.
   * @returns whether that is news: it was not being spared already.
   */
  spare(origin: string, milliseconds: number): boolean;
  /**
   * Sends no parts of more bytes from now on, because another client learned that they are too large.
   * @returns whether that is news.
   */
  limitParts(bytes: number): boolean;
}
