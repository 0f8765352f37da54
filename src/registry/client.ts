import type { Digest } from '../names/digest.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import type { Repository } from '../names/repository.ts';
import type { AddressClass } from '../names/ip-address.ts';
import type { Authenticator } from './auth/authenticator.ts';
import { type BlobReadOptions, fetchBlob, readBlob } from './blobs/blob.ts';
import { blobExists, type BlobQuestion, type BlobStatus, statBlob } from './blobs/blob-lookup.ts';
import type { BlobIdentity } from '../oci/descriptor.ts';
import type {
  BlobFetcher,
  BlobPusher,
  CallOptions,
  KnownEndpoint,
  ManifestSource,
  ManifestTarget,
  SharedClient,
} from './contract.ts';
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
import { listReferrers, type ReferrerQuestion } from './referrers.ts';
import type { JsonObject } from '../json/foreign.ts';
import { type RegistryConnection, registryConnection, type RegistryConnectionOptions } from './registry-connection.ts';
import type { Limits } from './request/limits.ts';
import type { RepositoryContext } from './request/repository.ts';
import type { SentSecrets } from './request/sent-secrets.ts';
import { type ListOptions, listRepositories, listTags } from './tag.ts';
import { type BlobSource, type BlobUploadOptions, uploadBlob } from './blobs/upload.ts';
import type { OnWire } from './wire.ts';

export type { BlobReadOptions, BlobSource, BlobUploadOptions };
export type { ManifestReference, ManifestStatus, RawManifest };

export interface RegistryClientOptions extends RegistryConnectionOptions {
  readonly repository: Repository;
}

/**
 * One repository in one registry, spoken to by the OCI distribution protocol 1.1. A caller asks for as much of it as
 * they need: the interfaces of `contract.ts`, which say what its methods promise and with what all of them reject.
 */
export class RegistryClient implements BlobFetcher, BlobPusher, ManifestSource, ManifestTarget, SharedClient {
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
      url: async (path) => new URL(connection.pathOf(`${repository.text}/${path}`), await connection.base.find()),
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

  /** Like {@link sibling}, of the same repository: what fails is not asked again, and no other request waits for it. */
  withoutRetries(): RegistryClient {
    const timing = { ...this.#connection.timing, limits: { ...this.limits, attempts: 1 } };
    return new RegistryClient(this.registry, this.repository, { ...this.#connection, timing });
  }

  /** See {@link KnownEndpoint}. */
  async endpoint(): Promise<string> {
    return (await this.#connection.base.find()).origin;
  }

  /** See {@link KnownEndpoint}. */
  get known(): KnownEndpoint['known'] {
    const base = this.#connection.base.known?.origin;
    return { base, isReached: base !== undefined && this.#connection.reached.has(base) };
  }

  /** See {@link KnownEndpoint}. */
  get isInsecure(): boolean {
    return this.#connection.isInsecure;
  }

  /** See {@link SharedClient}. */
  get limits(): Limits {
    return this.#connection.timing.limits;
  }

  /** See {@link KnownEndpoint}. */
  get networks(): readonly AddressClass[] {
    return this.#connection.guard.networks;
  }

  /** See {@link SharedClient}. */
  get authenticator(): Authenticator {
    return this.#connection.authenticator;
  }

  /** See {@link SharedClient}. */
  get secrets(): SentSecrets {
    return this.#connection.secrets;
  }

  /** See {@link SharedClient}. */
  get onWire(): OnWire | undefined {
    return this.#connection.onWire;
  }

  /** `GET /v2/`: resolves when the registry speaks the protocol and takes our credentials. */
  ping({ signal }: CallOptions = {}): Promise<void> {
    const { send, timing, base } = this.#connection;
    return ping({ registry: this.registry, send, timing, base }, signal);
  }

  /** See {@link ManifestSource}. */
  manifest(reference: ManifestReference, { signal }: CallOptions = {}): Promise<RawManifest> {
    return readManifest(this.#context, reference, signal);
  }

  /**
   * The digest that a reference leads to now, by HEAD, or by GET where HEAD does not tell; undefined when there is
   * none.
   */
  headManifest(reference: ManifestReference, { signal }: CallOptions = {}): Promise<ManifestStatus | undefined> {
    return statManifest(this.#context, reference, signal);
  }

  /** See {@link ManifestTarget}. */
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

  /** See {@link BlobLookup}. */
  blobExists(blob: BlobIdentity, question?: BlobQuestion): Promise<boolean> {
    return blobExists(this.#context, blob, question);
  }

  /** What the registry says about a blob of unknown size; undefined when the repository does not have it. */
  statBlob(digest: Digest, question?: BlobQuestion): Promise<BlobStatus | undefined> {
    return statBlob(this.#context, digest, question);
  }

  /** See {@link BlobFetcher}. */
  blob(blob: BlobIdentity, options?: BlobReadOptions): AsyncIterable<Uint8Array> {
    return readBlob(this.#context, blob, options);
  }

  /**
   * A small blob, verified, in memory. `limit` in bytes, default 16 MiB.
   * @throws TartletError `NOT_FOUND`, `SIZE_MISMATCH` (also when `size` is above the limit), `DIGEST_MISMATCH`.
   */
  fetchBlob(blob: BlobIdentity, options: CallOptions & { readonly limit?: number } = {}): Promise<Uint8Array> {
    return fetchBlob(
      this.#context,
      blob,
      options.limit ?? this.#connection.timing.limits.manifestBytes,
      options.signal,
    );
  }

  /** See {@link BlobPusher}. */
  uploadBlob(blob: BlobSource, options?: BlobUploadOptions): Promise<void> {
    return uploadBlob(this.#context, blob, options);
  }

  /** See {@link BlobPusher}. */
  mountBlob(blob: BlobIdentity, from: Repository, { signal }: CallOptions = {}): Promise<boolean> {
    return mountBlob(this.#context, blob, from.text, signal);
  }

  /**
   * The tags, page by page as they are asked for, and in whatever order and how often the registry names them. `last`:
   * begin after this tag.
   * @throws TartletError `NOT_FOUND`, `NET_PROTOCOL`, `NET_TIMEOUT` for a list that does not end.
   */
  tags(options?: ListOptions): AsyncIterable<string> {
    return listTags(this.#context, options);
  }

  /**
   * The repositories of the registry, whichever this client is of, as {@link tags}. Many registries have no such list.
   * @throws TartletError `NOT_FOUND`, `REG_REJECTED`, `AUTH_DENIED`, `NET_PROTOCOL`, `NET_TIMEOUT`.
   */
  catalog(options?: ListOptions): AsyncIterable<string> {
    const { send, timing, base } = this.#connection;
    return listRepositories({ registry: this.registry, send, timing, base }, options);
  }

  /** What refers to a manifest, as registries say it. @throws `NOT_FOUND` also where no list is kept, `NET_PROTOCOL` */
  referrers(subject: Digest, question?: ReferrerQuestion): Promise<readonly JsonObject[]> {
    return listReferrers(this.#context, subject, question);
  }

  /** See {@link SharedClient}. */
  spare(origin: string, milliseconds: number): boolean {
    return this.#connection.throttle.pauseUntil(origin, milliseconds);
  }

  /** See {@link KnownEndpoint}. */
  get partBytes(): number | undefined {
    return this.#connection.traits.partBytes;
  }

  /** See {@link SharedClient}. */
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
