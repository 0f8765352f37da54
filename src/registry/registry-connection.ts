import { anonymous, type CredentialSource } from '../credentials/credential.ts';
import type { EndpointManner } from '../endpoints/endpoint.ts';
import type { RegistryAddress } from '../names/registry-address.ts';
import type { AddressClass } from '../names/ip-address.ts';
import { baseOf, type FoundBase, pathBelow, withHeaders } from './endpoint-manner.ts';
import { AddressGuard } from './transport/connect/address-guard.ts';
import type { Authenticator } from './auth/authenticator.ts';
import { withAuthorization } from './auth/authorization.ts';
import type { OnWait, Timing } from './request/backoff.ts';
import { type Clock, systemClock } from './request/clock.ts';
import { dialledHost } from './transport/connect/endpoint.ts';
import { requestTarget } from './transport/connect/forward-proxy.ts';
import { proxyFor } from './transport/connect/proxy.ts';
import { limits as defaultLimits, type Limits } from './request/limits.ts';
import type { RateLimit } from './request/rate-limit.ts';
import { type OnHold, HostThrottle } from './retry/host-throttle.ts';
import { withTlsCheck } from './response/plain-http.ts';
import { withRedirects } from './redirect.ts';
import { RegistryAuthenticator } from './auth/registry-authenticator.ts';
import { type RepositoryContext, unknownTraits } from './request/repository.ts';
import type { Transport } from './request/request.ts';
import { withRetry } from './retry/retry.ts';
import { SentSecrets, withSentSecrets } from './request/sent-secrets.ts';
import { TrustStore } from './transport/connect/trust.ts';
import type { HttpTransport } from './transport/transport.ts';
import { watchedTransport } from './transport/watched-transport.ts';
import { observed, type OnWire, shownUrl } from './wire.ts';

/** What is the same for every repository of one registry. */
export interface RegistryConnectionOptions {
  readonly registry: RegistryAddress;
  /** `Tartlet/<version> (<platform>)` */
  readonly userAgent: string;
  /**
   * Where proxies and certificates are looked up; default: an empty environment. Plain data, so a worker can be given
   * it.
   */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Default: anonymous. Not used when there is an `authenticator`. */
  readonly credentials?: CredentialSource;
  /** Shares tokens with others, e.g. with the main thread. Default: one of its own, made from `credentials`. */
  readonly authenticator?: Authenticator;
  /** What must not be shown, shared with other clients of the same undertaking. Default: what this one learns. */
  readonly secrets?: SentSecrets;
  /** Speak plain HTTP to this registry. Without it only a loopback address that has no TLS is spoken to so. */
  readonly insecure?: boolean;
  /** How it is spoken to where settings say so. Default: as every registry. */
  readonly manner?: EndpointManner | undefined;
  /** A base URL found earlier by `RegistryClient.endpoint`: spares a worker the probing. */
  readonly endpoint?: string;
  /**
   * Whether another client of the same undertaking got an answer from the registry: see `RegistryClient.isReached`.
   * Default: no.
   */
  readonly isReached?: boolean;
  /**
   * Where another client of the same undertaking reached the registry: see `RegistryClient.networks`. Default: nowhere
   * yet.
   */
  readonly networks?: readonly AddressClass[];
  readonly clock?: Clock;
  /** Told of every pause before something is tried again: why, and how many milliseconds. */
  readonly onWait?: OnWait;
  /** Told of every request before it is sent, without what could be a secret: `HEAD https://ghcr.io/v2/a/b/blobs/…`. */
  readonly onRequest?: (request: string) => void;
  /** The largest part of an upload that the registry is known to take; see `RegistryClient.limitParts`. */
  readonly partBytes?: number | undefined;
  /** Told of the size that parts of uploads have from now on, because larger ones were refused. */
  readonly onPartLimit?: ((bytes: number) => void) | undefined;
  /**
   * Told that a host wants to be spared for so many milliseconds, for other clients of the same undertaking: see
   * `RegistryClient.spare`.
   */
  readonly onHold?: OnHold;
  /** Told of every request and answer, without their secrets. */
  readonly onWire?: OnWire | undefined;
  /** The `Via` header of every request, where it is passed on for a client (RFC 9110 §7.6.3). Default: none. */
  readonly via?: string | undefined;
  /**
   * The address was chosen by a stranger: it must be public, as every other place. Default: the user named it, and it
   * may be anywhere (reliability S9).
   */
  readonly onlyPublic?: boolean | undefined;
  /** Default: the numbers of `limits.ts`. */
  readonly limits?: Limits;
  /** How fast bodies come and go at most, shared with other clients of the same undertaking. Default: no limit. */
  readonly rateLimit?: RateLimit | undefined;
}

/** What the clients of all repositories of one registry have in common. */
export interface RegistryConnection {
  /** Whether plain HTTP was asked for. */
  readonly isInsecure: boolean;
  readonly http: HttpTransport;
  readonly timing: Timing;
  readonly throttle: HostThrottle;
  readonly authenticator: Authenticator;
  readonly secrets: SentSecrets;
  readonly onWire: OnWire | undefined;
  readonly traits: RepositoryContext['traits'];
  readonly onPartLimit: ((bytes: number) => void) | undefined;
  /** Origins that ever answered. */
  readonly reached: ReadonlySet<string>;
  readonly guard: AddressGuard;
  /** Through all layers. */
  readonly send: Transport;
  readonly base: FoundBase;
  /** What is below the base URL, for `path` of the API: `/v2/…`. */
  pathOf(path: string): string;
}

/**
 * Stacks the layers: wire, redirects, retries, authorization. Token requests go through retries only (reliability S8).
 */
export function registryConnection(options: RegistryConnectionOptions): RegistryConnection {
  const { registry, environment = {}, userAgent } = options;
  const limits = options.limits ?? defaultLimits;
  const timing: Timing = { clock: options.clock ?? systemClock, limits, onWait: options.onWait };
  const { insecure = false, manner } = options;
  const isProxied = (url: URL): boolean => proxyFor(url, environment) !== undefined;
  const base = baseOf(registry, options.endpoint, { insecure, manner, probeMs: limits.probeMs, isProxied });
  const endpoint = async (): Promise<URL> => base.find();
  const guard = new AddressGuard({ ...options, registry: endpoint, environment });
  const trust = new TrustStore({ environment, own: manner && { host: dialledHost(registry), ...manner.tls } });
  const { rateLimit, via } = options;
  const http = watchedTransport({ userAgent, via, environment, limits, guard, trust, clock: timing.clock, rateLimit });
  const secrets = options.secrets ?? new SentSecrets();
  secrets.noteHeaders(manner?.headers ?? {});
  const send = observed(
    withSentSecrets(http.send, secrets, (url) => requestTarget(url, environment).headers),
    options.onWire,
    timing.clock,
    (text) => secrets.isIn(text),
  );
  const check = { registry: endpoint, environment, probeMs: limits.probeMs };
  const wire = insecure ? withTlsCheck(send, check) : send;
  const throttle = new HostThrottle(timing, options.onHold);
  const isReached = options.isReached === true && options.endpoint !== undefined;
  const reached = new Set(isReached ? [new URL(options.endpoint).origin] : []);
  const authenticator =
    options.authenticator ??
    new RegistryAuthenticator({
      registry,
      credentials: options.credentials ?? anonymous,
      send: withRetry(send, timing, throttle, reached),
      timing,
      secrets,
    });
  const resilient = withRetry(withRedirects(wire, limits), timing, throttle, reached);
  return {
    isInsecure: insecure,
    http,
    timing,
    throttle,
    authenticator,
    secrets,
    onWire: options.onWire,
    traits: unknownTraits(options.partBytes),
    onPartLimit: options.onPartLimit,
    reached,
    guard,
    base,
    send: async (request, signal) => {
      const { origin } = await endpoint();
      options.onRequest?.(`${request.method} ${shownUrl(request.url)}`);
      const asked = withHeaders(request, manner?.headers, origin);
      return withAuthorization(resilient, authenticator, origin)(asked, signal);
    },
    pathOf: (path) => pathBelow(path, manner),
  };
}
