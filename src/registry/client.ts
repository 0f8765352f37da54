import type { Digest } from '../names/digest.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import type { Repository } from '../names/repository.ts';
import type { AddressClass } from '../names/ip-address.ts';
import type { Authenticator } from './auth/authenticator.ts';
import { blobExists, type BlobQuestion, type BlobReadOptions, fetchBlob, readBlob } from './blobs/blob.ts';
import type { BlobDescriptor } from './blobs/blob-opening.ts';
import {
  type ManifestStatus,
  type RawManifest,
  readManifest,
  removeManifest,
  statManifest,
  writeManifest,
} from './manifest.ts';
import type { ManifestReference } from './manifest-reference.ts';
import { mountBlob } from './blobs/mount.ts';
import { ping } from './ping.ts';
import { type RegistryConnection, registryConnection, type RegistryConnectionOptions } from './registry-connection.ts';
import type { RepositoryContext } from './request/repository.ts';
import type { SentSecrets } from './request/sent-secrets.ts';
import { listTags } from './tag.ts';
import { type BlobSource, type BlobUploadOptions, uploadBlob } from './blobs/upload.ts';
import type { OnWire } from './wire.ts';

export type { BlobDescriptor, BlobReadOptions, BlobSource, BlobUploadOptions };
export type { ManifestReference, ManifestStatus, RawManifest };

export interface RegistryClientOptions extends RegistryConnectionOptions {
  readonly repository: Repository;
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
  readonly repository: Repository;

  readonly #connection: RegistryConnection;
  readonly #context: RepositoryContext;

  private constructor(registry: RegistryAddress, repository: Repository, connection: RegistryConnection) {
    this.registry = registry;
    this.repository = repository;
    this.#connection = connection;
    this.#context = {
      registry: registry.toString(),
      repository: repository.text,
      send: connection.send,
      timing: connection.timing,
      traits: connection.traits,
      limitParts: (bytes) => {
        if (this.limitParts(bytes)) connection.onPartLimit?.(bytes);
      },
      url: async (path) => new URL(`/v2/${repository.text}/${path}`, await connection.endpoint()),
    };
  }

  /** Costs nothing: the HTTP library is loaded and the registry contacted with the first request. */
  static forRepository(options: RegistryClientOptions): RegistryClient {
    return new RegistryClient(options.registry, options.repository, registryConnection(options));
  }

  /** Another repository of the same registry, with the same connections and tokens. Only the first client is closed. */
  sibling(repository: Repository): RegistryClient {
    return new RegistryClient(this.registry, repository, this.#connection);
  }

  /** The base URL in use, e.g. `https://ghcr.io`; probes a loopback registry for TLS the first time. */
  async endpoint(): Promise<string> {
    return (await this.#connection.endpoint()).origin;
  }

  /**
   * Whether the registry ever answered. Until then a refused connection is a wrong name, and afterwards a network that
   * is down for a while.
   */
  async isReached(): Promise<boolean> {
    return this.#connection.reached.has(await this.endpoint());
  }

  /** The kinds of networks that the registry was reached on: a plain-HTTP name is not followed to another (S9). */
  get networks(): readonly AddressClass[] {
    return this.#connection.guard.networks;
  }

  /** Who we are, for threads that have their own client (see `authenticator-port.ts`). */
  get authenticator(): Authenticator {
    return this.#connection.authenticator;
  }

  /** What must not be shown, for threads that have their own client. */
  get secrets(): SentSecrets {
    return this.#connection.secrets;
  }

  /** Who is told of requests and answers, for threads that have their own client. */
  get onWire(): OnWire | undefined {
    return this.#connection.onWire;
  }

  /** `GET /v2/`: resolves when the registry speaks the protocol and takes our credentials. */
  ping({ signal }: CallOptions = {}): Promise<void> {
    const { send, timing } = this.#connection;
    return ping({ registry: this.registry, send, timing, endpoint: () => this.#connection.endpoint() }, signal);
  }

  /**
   * The manifest, verified: its digest is computed from its bytes and compared with the digest asked for.
   * @throws TartletError `NOT_FOUND`, `DIGEST_MISMATCH`, `MANIFEST_TOO_LARGE` (16 MiB), `NET_PROTOCOL` for an HTML page.
   */
  manifest(reference: ManifestReference, { signal }: CallOptions = {}): Promise<RawManifest> {
    return readManifest(this.#context, reference, signal);
  }

  /** The digest that a reference leads to now, by HEAD, or by GET where HEAD does not tell; undefined when there is none. */
  headManifest(reference: ManifestReference, { signal }: CallOptions = {}): Promise<ManifestStatus | undefined> {
    return statManifest(this.#context, reference, signal);
  }

  /**
   * Stores a manifest byte for byte. Repeating it is harmless. Where the registry did not answer 201, it is asked
   * whether it has it.
   * @throws TartletError `DIGEST_MISMATCH` when the registry stored something else, `REG_REJECTED`, `MANIFEST_TOO_LARGE` (4 MiB).
   */
  putManifest(
    reference: ManifestReference,
    bytes: Uint8Array,
    mediaType: string,
    { signal }: CallOptions = {},
  ): Promise<void> {
    return writeManifest(this.#context, reference, bytes, mediaType, signal);
  }

  /** Removes a manifest. @throws TartletError `NOT_FOUND`, `REG_REJECTED` when the registry does not delete. */
  deleteManifest(digest: Digest, { signal }: CallOptions = {}): Promise<void> {
    return removeManifest(this.#context, digest, signal);
  }

  /** Whether the repository has the blob. A length that the registry tells and that is not `size` means no. */
  blobExists(blob: BlobDescriptor, question?: BlobQuestion): Promise<boolean> {
    return blobExists(this.#context, blob, question);
  }

  /**
   * The bytes `[from, to)` of a blob, as they arrive. Broken connections continue at the byte where they broke; exactly the wanted number
   * of bytes comes out, or an error. **Not verified**: the consumer hashes (see `BlobVerifier`). Leaving the loop early closes the connection.
   * @throws TartletError while iterating: `NOT_FOUND`, `SIZE_MISMATCH`.
   */
  blob(blob: BlobDescriptor, options?: BlobReadOptions): AsyncIterable<Uint8Array> {
    return readBlob(this.#context, blob, options);
  }

  /**
   * A small blob, verified, in memory. `limit` in bytes, default 16 MiB.
   * @throws TartletError `NOT_FOUND`, `SIZE_MISMATCH` (also when `size` is above the limit), `DIGEST_MISMATCH`.
   */
  fetchBlob(blob: BlobDescriptor, options: CallOptions & { readonly limit?: number } = {}): Promise<Uint8Array> {
    return fetchBlob(
      this.#context,
      blob,
      options.limit ?? this.#connection.timing.limits.manifestBytes,
      options.signal,
    );
  }

  /**
   * Uploads a blob; the registry verifies its digest. An answer that got lost is looked up rather than sent again.
   * @throws TartletError `UPLOAD_REJECTED`, `UPLOAD_LOST`.
   */
  uploadBlob(blob: BlobSource, options?: BlobUploadOptions): Promise<void> {
    return uploadBlob(this.#context, blob, options);
  }

  /** Asks for a blob of another repository of this registry. False: it was not given, upload it. */
  mountBlob(blob: BlobDescriptor, from: Repository, { signal }: CallOptions = {}): Promise<boolean> {
    return mountBlob(this.#context, blob, from.text, signal);
  }

  /** The tags, page by page as they are asked for. `last`: begin after this tag. @throws TartletError `NOT_FOUND`, `NET_PROTOCOL`. */
  tags(options?: CallOptions & { readonly last?: string }): AsyncIterable<string> {
    return listTags(this.#context, options);
  }

  /**
   * Holds back all requests to a host, because another client learned that it wants to be spared.
   * @returns whether that is news: it was not being spared already.
   */
  spare(origin: string, milliseconds: number): boolean {
    return this.#connection.pacing.hold(origin, milliseconds);
  }

  /** The largest part of an upload that the registry is known to take; undefined as long as nothing was too large. */
  get partBytes(): number | undefined {
    return this.#connection.traits.partBytes;
  }

  /**
   * Sends no larger parts from now on, because another client learned that they are too large.
   * @returns whether that is news.
   */
  limitParts(bytes: number): boolean {
    const { traits } = this.#connection;
    if (traits.partBytes !== undefined && traits.partBytes <= bytes) return false;
    traits.partBytes = bytes;
    return true;
  }

  /** Closes the connections. Requests under way and later ones fail with `INTERRUPTED`. */
  close(): Promise<void> {
    return this.#connection.http.close();
  }
}
