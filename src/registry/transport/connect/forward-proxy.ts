import type { buildConnector } from 'undici';
import { describeError, isTartletError, type TartletError } from '../../../errors.ts';
import { type Proxy, proxyAuthorization, proxyError, proxyFor, saidByProxy, shownProxy } from './proxy.ts';
import type { RegistryResponse } from '../../request/request.ts';

/** How one request is spelled on its connection. */
export interface RequestTarget {
  /** What follows the method: a path, or the whole address for a proxy (RFC 9112 §3.2.2). */
  readonly path: string;
  /** Headers for the proxy that reads this request; empty where none does. */
  readonly headers: Readonly<Record<string, string>>;
  /** The proxy that reads this request. A tunnel's does not. */
  readonly proxy: Proxy | undefined;
  /** The same as a message may name it. */
  readonly proxyName?: string;
}

/**
 * The proxy that plain HTTP to `url` is handed to. Proxies as they are installed let CONNECT through to port 443 only
 * (squid's `SSL_ports`), so that a tunnel to an `http:` registry is refused; curl, Go and skopeo hand such requests to
 * the proxy, too.
 * @throws TartletError `NET_PROXY` as {@link proxyFor}.
 */
export function forwardingProxy(
  url: URL,
  environment: Readonly<Record<string, string | undefined>>,
): Proxy | undefined {
  return url.protocol === 'http:' ? proxyFor(url, environment) : undefined;
}

/** @throws TartletError `NET_PROXY` as {@link proxyFor}. */
export function requestTarget(url: URL, environment: Readonly<Record<string, string | undefined>>): RequestTarget {
  const path = url.pathname + url.search;
  const proxy = forwardingProxy(url, environment);
  if (proxy === undefined) return { path, headers: {}, proxy };
  return { path: `${url.origin}${path}`, headers: proxyAuthorization(proxy), proxy, proxyName: shownProxy(proxy) };
}

/** The proxy as a place to connect to; what goes wrong there is the proxy's fault: `NET_PROXY`. */
export function dialProxy(proxy: Proxy, connect: buildConnector.connector, callback: buildConnector.Callback): void {
  const { host, hostname, port, protocol } = proxy.url;
  connect({ host, hostname, port, protocol }, (...[error, socket]) => {
    if (error === null) callback(null, socket);
    else callback(isTartletError(error) ? error : proxyError(proxy, describeError(error), { cause: error }), null);
  });
}

/**
 * What the proxy itself said in place of the registry; undefined for an answer of the registry, or one that cannot be
 * told from it. 407 is a proxy's always (RFC 9110 §15.5.8); squid marks its own pages by `X-Squid-Error`, others by an
 * error in `Proxy-Status` (RFC 9209 §2.3).
 */
export function answerOfProxy(
  { status, headers }: RegistryResponse,
  { proxy }: RequestTarget,
): TartletError | undefined {
  if (proxy === undefined || status < 400) return undefined;
  const error = headers.get('x-squid-error') ?? /\berror=([^;,]{1,80})/.exec(headers.get('proxy-status') ?? '')?.[1];
  if (status !== 407 && error === undefined) return undefined;
  const found = saidByProxy(proxy, error);
  if (found === undefined) return proxyError(proxy, `it answered ${status} in place of the registry`, { status });
  return proxyError(proxy, `it answered ${status} (${found}) in place of the registry`, { status, found });
}
