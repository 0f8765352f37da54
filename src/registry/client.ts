import { anonymous, type CredentialSource } from '../credentials/credential.ts';
import type { Digest } from '../names/digest.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import { AddressGuard } from './address-guard.ts';
import type { Authenticator } from './authenticator.ts';
import { withAuthorization } from './authorization.ts';
import type { OnWait, Timing } from './backoff.ts';
import { blobExists, type BlobQuestion, type BlobReadOptions, fetchBlob, readBlob } from './blob.ts';
import type { BlobDescriptor } from './blob-opening.ts';
import { type Clock, systemClock } from './clock.ts';
import { resolveEndpoint } from './endpoint.ts';
import { limits as defaultLimits, type Limits } from './limits.ts';
import {
  type ManifestReference,
  type ManifestStatus,
  type RawManifest,
  readManifest,
  removeManifest,
  statManifest,
  writeManifest,
} from './manifest.ts';
import { mountBlob } from './mount.ts';
import { type OnHold, Pacing } from './pacing.ts';
import { ping } from './ping.ts';
import { withTlsCheck } from './plain-http.ts';
import { withRedirects } from './redirect.ts';
import { RegistryAuthenticator } from './registry-authenticator.ts';
import { type RepositoryContext, unknownTraits } from './repository.ts';
import type { Transport } from './request.ts';
import { withRetry } from './retry.ts';
import { listTags } from './tag.ts';
import { type HttpTransport, httpTransport } from './transport.ts';
import { type BlobSource, type BlobUploadOptions, uploadBlob } from './upload.ts';
import { observed, type OnWire, shownUrl } from './wire.ts';

export type { BlobDescriptor, BlobReadOptions, BlobSource, BlobUploadOptions };
export type { ManifestReference, ManifestStatus, RawManifest };

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
  /** Whether another client of the same undertaking got an answer from the registry: see {@link RegistryClient.isReached}. Default: no. */
  readonly isReached?: boolean;
  readonly clock?: Clock;
  /** Told of every pause before something is tried again: why, and how many milliseconds. */
  readonly onWait?: OnWait;
  /** Told of every request before it is sent, without what could be a secret: `HEAD https://ghcr.io/v2/a/b/blobs/…`. */
  readonly onRequest?: (request: string) => void;
  /** The largest part of an upload that the registry is known to take; see {@link RegistryClient.limitParts}. */
  readonly partBytes?: number | undefined;
  /** Told of the size that parts of uploads have from now on, because larger ones were refused. */
  readonly onPartLimit?: ((bytes: number) => void) | undefined;
  /** Told that a host wants to be spared for so many milliseconds, for other clients of the same undertaking: see {@link RegistryClient.spare}. */
  readonly onHold?: OnHold;
  /** Told of every request and answer, without their secrets. */
  readonly onWire?: OnWire | undefined;
  /** Default: the numbers of `limits.ts`. */
  readonly limits?: Limits;
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

  readonly #shared: Shared;
  readonly #context: RepositoryContext;

  private constructor(registry: RegistryAddress, repository: string, shared: Shared) {
    this.registry = registry;
    this.repository = repository;
    this.#shared = shared;
    this.#context = {
      registry: registry.toString(),
      repository,
      send: shared.send,
      timing: shared.timing,
      traits: shared.traits,
      limitParts: (bytes) => {
        if (this.limitParts(bytes)) shared.onPartLimit?.(bytes);
      },
      url: async (path) => new URL(`/v2/${repository}/${path}`, await shared.endpoint()),
    };
  }

  /** Costs nothing: the HTTP library is loaded and the registry contacted with the first request. */
  static forRepository(options: RegistryClientOptions): RegistryClient {
    return new RegistryClient(options.registry, options.repository, share(options));
  }

  /** Another repository of the same registry, with the same connections and tokens. Only the first client is closed. */
  sibling(repository: string): RegistryClient {
    return new RegistryClient(this.registry, repository, this.#shared);
  }

  /** The base URL in use, e.g. `https://ghcr.io`; probes a loopback registry for TLS the first time. */
  async endpoint(): Promise<string> {
    return (await this.#shared.endpoint()).origin;
  }

  /** Whether the registry ever answered. Until then a refused connection is a wrong name, and afterwards a network that is down for a while. */
  async isReached(): Promise<boolean> {
    return this.#shared.reached.has(await this.endpoint());
  }

  /** Who we are, for threads that have their own client (see `authenticator-port.ts`). */
  get authenticator(): Authenticator {
    return this.#shared.authenticator;
  }

  /** Who is told of requests and answers, for threads that have their own client. */
  get onWire(): OnWire | undefined {
    return this.#shared.onWire;
  }

  /** `GET /v2/`: resolves when the registry speaks the protocol and takes our credentials. */
  ping({ signal }: CallOptions = {}): Promise<void> {
    return ping(this.#context, signal);
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
   * Stores a manifest byte for byte. Repeating it is harmless. Where the registry did not answer 201, it is asked whether it has it.
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
    return fetchBlob(this.#context, blob, options.limit ?? this.#shared.timing.limits.manifestBytes, options.signal);
  }

  /**
   * Uploads a blob; the registry verifies its digest. An answer that got lost is looked up rather than sent again.
   * @throws TartletError `UPLOAD_REJECTED`, `UPLOAD_LOST`.
   */
  uploadBlob(blob: BlobSource, options?: BlobUploadOptions): Promise<void> {
    return uploadBlob(this.#context, blob, options);
  }

  /** Asks for a blob of another repository of this registry. False: it was not given, upload it. */
  mountBlob(blob: BlobDescriptor, from: string, { signal }: CallOptions = {}): Promise<boolean> {
    return mountBlob(this.#context, blob, from, signal);
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
    return this.#shared.pacing.hold(origin, milliseconds);
  }

  /** The largest part of an upload that the registry is known to take; undefined as long as nothing was too large. */
  get partBytes(): number | undefined {
    return this.#shared.traits.partBytes;
  }

  /** Sends no larger parts from now on, because another client learned that they are too large. @returns whether that is news. */
  limitParts(bytes: number): boolean {
    const { traits } = this.#shared;
    if (traits.partBytes !== undefined && traits.partBytes <= bytes) return false;
    traits.partBytes = bytes;
    return true;
  }

  /** Closes the connections. Requests under way and later ones fail with `INTERRUPTED`. */
  close(): Promise<void> {
    return this.#shared.http.close();
  }
}

/** What the clients of all repositories of one registry have in common. */
interface Shared {
  readonly http: HttpTransport;
  readonly timing: Timing;
  readonly pacing: Pacing;
  readonly authenticator: Authenticator;
  readonly onWire: OnWire | undefined;
  readonly traits: RepositoryContext['traits'];
  readonly onPartLimit: ((bytes: number) => void) | undefined;
  /** Origins that ever answered. */
  readonly reached: ReadonlySet<string>;
  /** Through all layers. */
  readonly send: Transport;
  endpoint(): Promise<URL>;
}

/** Stacks the layers: wire, redirects, retries, authorization. Token requests go through retries only (reliability S8). */
function share(options: RegistryClientOptions): Shared {
  const { registry, environment = {}, userAgent } = options;
  const limits = options.limits ?? defaultLimits;
  const timing: Timing = {
    clock: options.clock ?? systemClock,
    limits,
    ...(options.onWait === undefined ? {} : { onWait: options.onWait }),
  };
  let base: Promise<URL> | undefined;
  const endpoint = () => {
    base ??=
      options.endpoint === undefined
        ? resolveEndpoint(registry, { insecure: options.insecure ?? false, probeMs: limits.probeMs })
        : Promise.resolve(new URL(options.endpoint));
    return base;
  };
  const guard = new AddressGuard({ registry: endpoint, environment });
  const http = httpTransport({ userAgent, environment, limits, guard });
  const send = observed(http.send, options.onWire, timing.clock);
  const check = { registry: endpoint, environment, probeMs: limits.probeMs };
  const wire = options.insecure === true ? withTlsCheck(send, check) : send;
  const pacing = new Pacing(timing, options.onHold);
  const isReached = options.isReached === true && options.endpoint !== undefined;
  const reached = new Set(isReached ? [new URL(options.endpoint).origin] : []);
  const authenticator =
    options.authenticator ??
    new RegistryAuthenticator({
      registry,
      credentials: options.credentials ?? anonymous,
      send: withRetry(send, timing, pacing, reached),
      timing,
    });
  const resilient = withRetry(withRedirects(wire, limits), timing, pacing, reached);
  return {
    http,
    timing,
    pacing,
    authenticator,
    onWire: options.onWire,
    traits: unknownTraits(options.partBytes),
    onPartLimit: options.onPartLimit,
    reached,
    endpoint,
    send: async (request, signal) => {
      const { origin } = await endpoint();
      options.onRequest?.(`${request.method} ${shownUrl(request.url)}`);
      return withAuthorization(resilient, authenticator, origin)(request, signal);
    },
  };
}
