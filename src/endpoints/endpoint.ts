import type { RemoteName } from '../names/remote-name.ts';

/** A client certificate: a file in PEM, and that of its key where the first has not both. */
export interface ClientCertificate {
  readonly certificate: string;
  readonly key: string | undefined;
}

/**
 * A place that may answer for an image, and how it is spoken to. Plain data: threads are given it. Nothing of it is a
 * secret but the values of {@link headers}.
 */
export interface Endpoint {
  /** `host[:port]` */
  readonly registry: string;
  /** What the image is called there. */
  readonly repository: string;
  /**
   * `usual`: TLS, and plain HTTP only for a registry of this machine that has none. `either`: TLS where it is spoken,
   * else plain HTTP.
   */
  readonly scheme: 'usual' | 'https' | 'http' | 'either';
  /** Where the API begins; `/v2` but for what containerd calls `override_path`. */
  readonly apiPath: string;
  /** The registry that is meant, for a mirror of several: sent as `?ns=` (containerd). */
  readonly namespace: string | undefined;
  /** `content`: manifests by digest and blobs, never what a tag leads to; `tags`: only what a tag leads to. */
  readonly answers: 'all' | 'content' | 'tags';
  /** Of the host alone, beside what holds for every connection. */
  readonly tls: {
    readonly isVerified: boolean;
    /** Files of CA certificates in PEM. */
    readonly ca: readonly string[];
    readonly certificates: readonly ClientCertificate[];
  };
  /** Sent to the endpoint alone, with every request. Their values may be secret. */
  readonly headers: Readonly<Record<string, string>>;
  /** How long a connection may take, in milliseconds; undefined: as long as any. */
  readonly connectMs: number | undefined;
  /** The file that forbids to pull from there. */
  readonly blockedBy: string | undefined;
}

/** How an endpoint is spoken to. */
export type EndpointManner = Pick<Endpoint, 'scheme' | 'apiPath' | 'namespace' | 'tls' | 'headers'>;

/** Which places answer for an image. */
export interface EndpointChoice {
  /** In the order in which they are asked. The last one stands for the registry itself: what it says is final. */
  readonly endpoints: readonly [Endpoint, ...Endpoint[]];
  /** The file that says so; undefined where none does. */
  readonly source: string | undefined;
}

/** An endpoint of which nothing but its place is known. */
export function plainEndpoint(registry: string, repository: string): Endpoint {
  return {
    registry,
    repository,
    scheme: 'usual',
    apiPath: '/v2',
    namespace: undefined,
    answers: 'all',
    tls: { isVerified: true, ca: [], certificates: [] },
    headers: {},
    connectMs: undefined,
    blockedBy: undefined,
  };
}

/** The registry in the name of an image, and nothing else. */
export function onlyNamed(name: RemoteName): EndpointChoice {
  return { endpoints: [plainEndpoint(name.registry.toString(), name.repository.text)], source: undefined };
}

/** Mirrors, and then what stands for the registry. */
export function inOrder(mirrors: readonly Endpoint[], last: Endpoint): EndpointChoice['endpoints'] {
  const [first, ...more] = mirrors;
  return first === undefined ? [last] : [first, ...more, last];
}

/** An endpoint as people and records name it: `host[:port]/repository`. */
export function endpointText({ registry, apiPath, repository }: Endpoint): string {
  const below = apiPath.replace(/^\/v2(?=\/|$)|\/v2$/, '');
  return `${registry}${below}/${repository}`;
}
