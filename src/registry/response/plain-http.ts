import { isTartletError, TartletError } from '../../errors.ts';
import { speaksTls } from '../transport/connect/endpoint.ts';
import { forwardingProxy } from '../transport/connect/forward-proxy.ts';
import { hostAndPort, nextForClientCertificate } from '../request/network-error.ts';
import type { ResponseStart, Transport } from '../request/request.ts';

/**
 * What nginx (`ngx_http_special_response.c`), Go's net/http and Apache say in HTTP where TLS was meant: the line that
 * people see of it, lower case.
 */
const WANTS_TLS = /plain http request was sent to https|sent an http request to an https server|plain http to an ssl/;
const WANTS_CLIENT_CERTIFICATE = /no required ssl certificate was sent|the ssl certificate error/;

/**
 * The misunderstanding about TLS that a registry complains of, as an error that says the way out; undefined for every
 * other complaint.
 * @param line one line of the answer's body, for people.
 */
export function tlsComplaint({ url }: ResponseStart, what: string, line: string): TartletError | undefined {
  const said = line.toLowerCase();
  const where = hostAndPort(url);
  if (WANTS_TLS.test(said)) return speaksTlsThere(url);
  if (!WANTS_CLIENT_CERTIFICATE.test(said)) return undefined;
  return new TartletError('NET_TLS', `${what}: ${where} wants a client certificate (${line})`, {
    subject: where,
    retryable: false,
    next: nextForClientCertificate(where),
  });
}

/** The port takes nothing but TLS, and was spoken to without. */
function speaksTlsThere(url: URL): TartletError {
  const where = hostAndPort(url);
  return new TartletError('NET_TLS', `${where} speaks TLS, and was spoken to without it`, {
    subject: where,
    retryable: false,
    next: { kind: 'use-tls' },
  });
}

export interface TlsCheckOptions {
  /** The base URL of the registry: no other place is greeted. */
  readonly registry: () => Promise<URL>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** How long the registry may take to answer the greeting, in milliseconds. */
  readonly probeMs: number;
}

/**
 * For a registry that is spoken to in plain HTTP because the user wants that: before its first answer, a broken or
 * garbled connection may mean that its port speaks TLS. Servers answer that in as many ways as there are, so that the
 * port is greeted in TLS to find out.
 */
export function withTlsCheck(next: Transport, { registry, environment, probeMs }: TlsCheckOptions): Transport {
  let hasAnswered = false;
  const isTlsPort = async (url: URL): Promise<boolean> => {
    const isRegistry = url.origin === (await registry()).origin;
    // A port behind a proxy is out of reach.
    return isRegistry && forwardingProxy(url, environment) === undefined && (await speaksTls(url, probeMs));
  };
  return async (request, signal) => {
    if (hasAnswered) return next(request, signal);
    try {
      const response = await next(request, signal);
      // 400 in answer to HEAD has no body that would tell.
      if (response.status !== 400 || !(await isTlsPort(request.url))) {
        hasAnswered = true;
        return response;
      }
      response.body.destroy();
    } catch (error) {
      signal?.throwIfAborted();
      if (!isTartletError(error, 'NET_BROKEN', 'NET_PROTOCOL') || !(await isTlsPort(request.url))) throw error;
    }
    throw speaksTlsThere(request.url);
  };
}
