import type { CredentialSource } from '../credentials/credential.ts';
import { Digest } from '../names/digest.ts';
import { RegistryAddress } from '../names/registry-address.ts';
import { Repository } from '../names/repository.ts';
import type { BlobIdentity } from '../oci/descriptor.ts';
import { BlobVerifier } from '../registry/blobs/blob-verifier.ts';
import type { BlobReadOptions } from '../registry/blobs/blob.ts';
import type { BlobSource, BlobUploadOptions } from '../registry/blobs/upload.ts';
import { RegistryClient } from '../registry/client.ts';
import type { CallOptions } from '../registry/contract.ts';
import type { ManifestReference } from '../registry/manifest-reference.ts';
import type { ManifestStatus, RawManifest } from '../registry/manifest.ts';
import { RateLimit } from '../registry/request/rate-limit.ts';
import type { OnWire } from '../registry/wire.ts';

/** How a repository is reached. */
export interface RepositoryOptions {
  /** `registry.example:8221`, or parsed already. */
  readonly registry: string | RegistryAddress;
  /** `macos/base`, or parsed already. */
  readonly repository: string | Repository;
  /** The credentials of the registry's user. Default: anonymous. */
  readonly credentials?: CredentialSource | undefined;
  /** Plain HTTP. Default: HTTPS, except for a registry on this machine that speaks plain HTTP. */
  readonly insecure?: boolean | undefined;
  /** Variables for proxies and certificates. Default: none. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  /** What the registry sees in its log. Default: `Tartlet`. */
  readonly userAgent?: string | undefined;
  /** Told of every request and every answer, without their secrets. */
  readonly onWire?: OnWire | undefined;
  /** How fast bytes move at most, in bytes per second in each direction. Default: no limit. */
  readonly limitRate?: number | RateLimit | undefined;
}

/**
 * One repository of one registry, by the OCI distribution protocol 1.1: manifests and blobs, with retries, resumed
 * downloads, token logins and back-pressure. What it returns is verified against its digest, but for
 * {@link unverifiedBlob}.
 *
 * Every method rejects with a `TartletError` (`NET_*`, `AUTH_*`, `RATE_LIMITED`, `REG_*`, `REDIRECT_REFUSED`, and those
 * it names), and with the signal's reason when it is aborted.
 */
export class RepositoryClient implements AsyncDisposable {
  readonly registry: RegistryAddress;
  readonly repository: Repository;
  readonly #client: RegistryClient;

  /** Contacts nothing before the first request. @throws TartletError `NAME_MALFORMED` */
  constructor({ registry, repository, credentials, environment = {}, ...options }: RepositoryOptions) {
    this.registry = typeof registry === 'string' ? RegistryAddress.parse(registry) : registry;
    this.repository = typeof repository === 'string' ? Repository.parse(repository) : repository;
    this.#client = RegistryClient.forRepository({
      registry: this.registry,
      repository: this.repository,
      credentials: credentials ?? { find: async () => undefined },
      environment,
      insecure: options.insecure ?? false,
      userAgent: options.userAgent ?? 'Tartlet',
      onWire: options.onWire,
      rateLimit: RateLimit.from(options.limitRate),
    });
  }

  /** `GET /v2/`: resolves when the registry speaks the protocol and takes the credentials. */
  async ping(options?: CallOptions): Promise<void> {
    return this.#client.ping(options);
  }

  /**
   * A manifest, its bytes compared with the digest that was asked for. @throws TartletError `NOT_FOUND`,
   * `DIGEST_MISMATCH`
   */
  async manifest(reference: ManifestReference, options?: CallOptions): Promise<RawManifest> {
    return this.#client.manifest(reference, options);
  }

  /** The digest that a reference leads to now; undefined when there is none. */
  async headManifest(reference: ManifestReference, options?: CallOptions): Promise<ManifestStatus | undefined> {
    return this.#client.headManifest(reference, options);
  }

  /** Stores a manifest byte for byte. @throws TartletError `DIGEST_MISMATCH`, `REG_REJECTED` */
  async putManifest(
    reference: ManifestReference,
    bytes: Uint8Array,
    mediaType: string,
    options?: CallOptions,
  ): Promise<void> {
    return this.#client.putManifest(reference, bytes, mediaType, options);
  }

  /** Removes a manifest. @throws TartletError `NOT_FOUND`, `REG_REJECTED` when the registry does not delete. */
  async deleteManifest(digest: string | Digest, options?: CallOptions): Promise<void> {
    return this.#client.deleteManifest(typeof digest === 'string' ? Digest.parse(digest) : digest, options);
  }

  /**
   * A whole blob, as it arrives. Its last bytes come only when all were compared with the digest: a consumer that read
   * to the end has the right bytes, and one that writes them elsewhere deletes them on an error.
   *
   * @throws TartletError while iterating: `NOT_FOUND`, `DIGEST_MISMATCH`, `SIZE_MISMATCH`.
   */
  async *blob(blob: BlobIdentity, options: CallOptions = {}): AsyncGenerator<Uint8Array, void> {
    const verifier = new BlobVerifier(blob.digest, blob.size);
    let held: Uint8Array | undefined;
    for await (const piece of this.#client.blob(blob, options)) {
      verifier.update(piece);
      if (held !== undefined) yield held;
      held = piece;
    }
    verifier.verdict();
    if (held !== undefined) yield held;
  }

  /**
   * A part of a blob, or all of it, exactly as long as asked for and **not compared with its digest**: for a caller
   * that compares it itself.
   *
   * @throws TartletError while iterating: `NOT_FOUND`, `SIZE_MISMATCH`.
   */
  unverifiedBlob(blob: BlobIdentity, options?: BlobReadOptions): AsyncIterable<Uint8Array> {
    return this.#client.blob(blob, options);
  }

  /**
   * A small blob in memory, verified; `limit` in bytes, default 16 MiB. @throws TartletError `NOT_FOUND`,
   * `DIGEST_MISMATCH`, `SIZE_MISMATCH`
   */
  async fetchBlob(blob: BlobIdentity, options?: CallOptions & { readonly limit?: number }): Promise<Uint8Array> {
    return this.#client.fetchBlob(blob, options);
  }

  /** Whether the repository has a blob of this digest and size. */
  async blobExists(blob: BlobIdentity, options?: CallOptions): Promise<boolean> {
    return this.#client.blobExists(blob, options);
  }

  /** Uploads a blob. @throws TartletError `UPLOAD_REJECTED`, `UPLOAD_LOST` */
  async uploadBlob(blob: BlobSource, options?: BlobUploadOptions): Promise<void> {
    return this.#client.uploadBlob(blob, options);
  }

  /** Asks for a blob of another repository of this registry. @returns false when it was not given: upload it. */
  async mountBlob(blob: BlobIdentity, from: string | Repository, options?: CallOptions): Promise<boolean> {
    return this.#client.mountBlob(blob, typeof from === 'string' ? Repository.parse(from) : from, options);
  }

  /** The tags, page by page as they are asked for. `last`: begin after this tag. @throws TartletError `NOT_FOUND` */
  tags(options?: CallOptions & { readonly last?: string }): AsyncIterable<string> {
    return this.#client.tags(options);
  }

  /** Closes the connections. Requests under way fail with `INTERRUPTED`. */
  async close(): Promise<void> {
    return this.#client.close();
  }

  /** As {@link close}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
