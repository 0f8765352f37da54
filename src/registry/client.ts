import { type CredentialSource } from '../credentials/credential.ts';
import { TartletError } from '../errors.ts';
import type { Digest } from '../names/digest.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import type { Authenticator } from './authenticator.ts';
import type { Clock } from './clock.ts';

/** A manifest in the registry: by the tag that leads to it, or by what it is. */
export type ManifestReference = { readonly tag: string } | { readonly digest: Digest };

/** A manifest as the registry served it. Parsing is somebody else's business: these are the bytes to keep. */
export interface RawManifest {
  readonly bytes: Uint8Array;
  /** `Content-Type` without parameters, lower case; empty when the registry named none. */
  readonly mediaType: string;
  /** Computed from `bytes`, never taken from a header. */
  readonly digest: Digest;
}

/** What the registry says about a manifest without serving it. */
export interface ManifestStatus {
  readonly digest: Digest;
  readonly mediaType: string;
}

/** A blob: what it must hash to, and its exact length in bytes. */
export interface BlobDescriptor {
  readonly digest: Digest;
  readonly size: number;
}

export interface BlobReadOptions {
  /** First byte wanted, default 0. */
  readonly from?: number;
  /** The byte after the last one wanted, default the blob's size. */
  readonly to?: number;
  readonly signal?: AbortSignal;
  /** Told the length of every piece that came over the wire for this blob. */
  readonly onBytes?: (bytes: number) => void;
}

/** A blob to upload. `open` is called once per attempt and gives the bytes from `from` on. */
export interface BlobSource extends BlobDescriptor {
  /** Bytes `[from, to)` of the blob. */
  open(from: number, to: number): Uint8Array | AsyncIterable<Uint8Array>;
}

export interface BlobUploadOptions {
  /** Send the blob in PATCH requests of this many bytes; absent: one PUT. */
  readonly chunkBytes?: number;
  readonly signal?: AbortSignal;
  /** Told how many bytes were handed to the connection; negative when an attempt failed and its bytes are sent again. */
  readonly onBytes?: (bytes: number) => void;
}

/** A pause before something is tried again, to be shown to whoever waits. */
export interface WaitEvent {
  /** Why, in one line. */
  readonly reason: string;
  readonly milliseconds: number;
}

export interface RegistryClientOptions {
  readonly registry: RegistryAddress;
  readonly repository: string;
  /** `Tartlet/<version> (<platform>)` */
  readonly userAgent: string;
  /** Where proxies and certificates are looked up; default: an empty environment. Plain data, so a worker can be given it. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Default: anonymous. Not used when there is an `authenticator`. */
  readonly credentials?: CredentialSource;
  /** Shares tokens with others, e.g. with the main thread. Default: one of its own, made from `credentials`. */
  readonly authenticator?: Authenticator;
  /** Speak plain HTTP to this registry. Without it only a loopback address that has no TLS is spoken to so. */
  readonly insecure?: boolean;
  /** A base URL found earlier by {@link RegistryClient.endpoint}: spares a worker the probing. */
  readonly endpoint?: string;
  readonly clock?: Clock;
  readonly onWait?: (event: WaitEvent) => void;
}

/** Options for calls that only may be interrupted. */
export interface CallOptions {
  readonly signal?: AbortSignal;
}

/**
 * One repository in one registry, spoken to by the OCI distribution protocol 1.1.
 * Every method rejects with a TartletError: `NET_*`, `RATE_LIMITED`, `REG_UNAVAILABLE`, `REG_REJECTED`, `AUTH_*`, `REDIRECT_REFUSED`
 * and those it names itself; an aborted signal rejects with the signal's reason.
 */
export class RegistryClient {
  readonly registry: RegistryAddress;
  readonly repository: string;

  private constructor(options: RegistryClientOptions) {
    this.registry = options.registry;
    this.repository = options.repository;
  }

  /** Costs nothing: the HTTP library is loaded and the registry contacted with the first request. */
  static forRepository(options: RegistryClientOptions): RegistryClient {
    return new RegistryClient(options);
  }

  /** Another repository of the same registry, with the same connections and tokens. Only the first client is closed. */
  sibling(_repository: string): RegistryClient {
    throw notYet();
  }

  /** The base URL in use, e.g. `https://ghcr.io`; probes a loopback registry for TLS the first time. */
  endpoint(_options?: CallOptions): Promise<string> {
    throw notYet();
  }

  /** Who we are, for threads that have their own client (see `authenticator-port.ts`). */
  get authenticator(): Authenticator {
    throw notYet();
  }

  /** `GET /v2/`: resolves when the registry speaks the protocol and takes our credentials. */
  ping(_options?: CallOptions): Promise<void> {
    throw notYet();
  }

  /**
   * The manifest, verified: its digest is computed from its bytes and compared with the digest asked for.
   * @throws TartletError `NOT_FOUND`, `DIGEST_MISMATCH`, `MANIFEST_TOO_LARGE` (16 MiB), `NET_PROTOCOL` for an HTML page.
   */
  manifest(_reference: ManifestReference, _options?: CallOptions): Promise<RawManifest> {
    throw notYet();
  }

  /** The digest that a reference leads to now, by HEAD, or by GET where HEAD does not tell; undefined when there is none. */
  headManifest(_reference: ManifestReference, _options?: CallOptions): Promise<ManifestStatus | undefined> {
    throw notYet();
  }

  /**
   * Stores a manifest byte for byte. Repeating it is harmless.
   * @throws TartletError `DIGEST_MISMATCH` when the registry stored something else, `REG_REJECTED`, `MANIFEST_TOO_LARGE` (4 MiB).
   */
  putManifest(
    _reference: ManifestReference,
    _bytes: Uint8Array,
    _mediaType: string,
    _options?: CallOptions,
  ): Promise<void> {
    throw notYet();
  }

  /** Removes a manifest. @throws TartletError `NOT_FOUND`, `REG_REJECTED` when the registry does not delete. */
  deleteManifest(_digest: Digest, _options?: CallOptions): Promise<void> {
    throw notYet();
  }

  /** Whether the repository has the blob. A length that the registry tells and that is not `size` means no. */
  blobExists(_blob: BlobDescriptor, _options?: CallOptions): Promise<boolean> {
    throw notYet();
  }

  /**
   * The bytes `[from, to)` of a blob, as they arrive. Broken connections continue at the byte where they broke; exactly the wanted number
   * of bytes comes out, or an error. **Not verified**: the consumer hashes (see `BlobVerifier`). Leaving the loop early closes the connection.
   * @throws TartletError while iterating: `NOT_FOUND`, `SIZE_MISMATCH`.
   */
  blob(_blob: BlobDescriptor, _options?: BlobReadOptions): AsyncIterable<Uint8Array> {
    throw notYet();
  }

  /**
   * A small blob, verified, in memory. `limit` in bytes, default 16 MiB.
   * @throws TartletError `NOT_FOUND`, `SIZE_MISMATCH` (also when `size` is above the limit), `DIGEST_MISMATCH`.
   */
  fetchBlob(_blob: BlobDescriptor, _options?: CallOptions & { readonly limit?: number }): Promise<Uint8Array> {
    throw notYet();
  }

  /**
   * Uploads a blob; the registry verifies its digest. An answer that got lost is looked up rather than sent again.
   * @throws TartletError `UPLOAD_REJECTED`, `UPLOAD_LOST`.
   */
  uploadBlob(_blob: BlobSource, _options?: BlobUploadOptions): Promise<void> {
    throw notYet();
  }

  /** Asks for a blob of another repository of this registry. False: it was not given, upload it. */
  mountBlob(_blob: BlobDescriptor, _from: string, _options?: CallOptions): Promise<boolean> {
    throw notYet();
  }

  /** The tags, page by page as they are asked for. `last`: begin after this tag. @throws TartletError `NOT_FOUND`, `NET_PROTOCOL`. */
  tags(_options?: CallOptions & { readonly last?: string }): AsyncIterable<string> {
    throw notYet();
  }

  /** Closes the connections. Requests under way fail. */
  close(): Promise<void> {
    throw notYet();
  }
}

function notYet(): TartletError {
  return new TartletError('NOT_YET', 'the registry client is being built');
}
