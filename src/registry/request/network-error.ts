import { describeError, isTartletError, systemCode, TartletError } from '../../errors.ts';
import type { Hint } from '../../hint.ts';
import { cleanText } from './redact.ts';

/** Codes that Node's TLS gives for a peer that does not speak TLS at all. */
const NOT_TLS = new Set(['ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG', 'ERR_SSL_HTTP_REQUEST']);

/** Certificates that no installed CA vouches for; with the CA's certificate at hand they would be fine. */
const UNKNOWN_CA = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_UNTRUSTED',
]);

/** Other complaints about a certificate that OpenSSL reports by these codes. */
const BAD_CERTIFICATE =
  /^(?:CERT_|CRL_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH|ERR_TLS_|ERR_SSL_|ERR_OSSL_)/;

const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ENETUNREACH',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'EACCES',
  'EPERM',
]);

/** What the wire, and the library that speaks on it, call their failures. Nothing else is a fault of the network. */
const OF_THE_WIRE = /^(?:E[A-Z][A-Z0-9]+|UND_ERR_[A-Z_]+|ERR_SOCKET_[A-Z_]+|ERR_STREAM_(?:DESTROYED|PREMATURE_CLOSE))$/;
/** Complaints of the library about what we asked of it. */
const OURS = new Set(['UND_ERR_INVALID_ARG', 'UND_ERR_INVALID_RETURN_VALUE', 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH']);

const BROKEN = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'UND_ERR_SOCKET', 'ENOTCONN', 'UND_ERR_DESTROYED']);

/** Whether a failed handshake shows that the peer answered without TLS. */
export function isPlainHttpAnswer(error: unknown): boolean {
  return causes(error).some((cause) => NOT_TLS.has(systemCode(cause) ?? ''));
}

/**
 * What went wrong on the way to `origin`, as a TartletError: `NET_DNS`, `NET_CONNECT`, `NET_TLS`, `NET_TIMEOUT`,
 * `NET_PROTOCOL` or `NET_BROKEN`; `INTERNAL`, which is never tried again, for what is no failure of the wire but an
 * exception of our own. A TartletError (also one hidden as a cause) is passed on as it is.
 * @param proxy whom the request was handed to, as a message may name it: what broke may be the connection to it.
 */
export function networkError(error: unknown, origin: URL, proxy?: string): TartletError {
  const chain = causes(error);
  const known = chain.find((cause) => isTartletError(cause));
  if (known !== undefined) return known;
  const where = hostAndPort(origin) + (proxy === undefined ? '' : ` (through the proxy ${proxy})`);
  const code = chain.map((cause) => systemCode(cause)).find((found) => found !== undefined) ?? '';
  const all = { subject: hostAndPort(origin), cause: error };
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN' || code === 'EAI_FAIL' || code === 'EAI_NODATA') {
    const busy = code === 'EAI_AGAIN';
    return new TartletError(
      'NET_DNS',
      `cannot resolve "${origin.hostname}"${busy ? ': the name server is busy' : ''}`,
      {
        ...all,
        retryable: busy,
        next: origin.hostname.includes('.')
          ? { kind: 'check-host-and-network' }
          : { kind: 'name-begins-with-registry' },
      },
    );
  }
  if (NOT_TLS.has(code) || UNKNOWN_CA.has(code) || BAD_CERTIFICATE.test(code)) return tlsError(code, error, where);
  if (UNREACHABLE.has(code)) {
    return new TartletError('NET_CONNECT', `cannot connect to ${where}: ${describeError(error)}`, {
      ...all,
      retryable: true,
      next: nextAfterRefusal(origin),
    });
  }
  if (code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT' || code === 'UND_ERR_HEADERS_TIMEOUT') {
    const during = code === 'UND_ERR_HEADERS_TIMEOUT' ? 'the request was sent, but no answer came' : 'no answer';
    return new TartletError('NET_TIMEOUT', `${where} does not answer: ${during} in time`, { ...all, retryable: true });
  }
  if (code === 'UND_ERR_BODY_TIMEOUT') {
    return new TartletError('NET_TIMEOUT', `${where} stopped sending in the middle of a body`, {
      ...all,
      retryable: true,
    });
  }
  if (code === 'UND_ERR_HEADERS_OVERFLOW' || code === 'HPE_HEADER_OVERFLOW') {
    return new TartletError('NET_PROTOCOL', `${where} sent response headers that are too large`, all);
  }
  if (isProtocolError(code, chain)) {
    return new TartletError('NET_PROTOCOL', `${where} does not speak HTTP properly: ${describeError(error)}`, {
      ...all,
      retryable: true,
    });
  }
  if (!OF_THE_WIRE.test(code) || OURS.has(code)) {
    return new TartletError('INTERNAL', `unexpected while talking to ${where}: ${describeError(error)}`, {
      ...all,
      retryable: false,
    });
  }
  const why = BROKEN.has(code) ? 'the connection was closed' : describeError(error);
  return new TartletError('NET_BROKEN', `the connection to ${where} broke: ${why}`, { ...all, retryable: true });
}

/**
 * Where nothing listens: a port that was not written is the likeliest reason (registries seldom live on 443 by
 * themselves).
 */
function nextAfterRefusal({ hostname, port, protocol }: URL): Hint {
  if (port !== '') return { kind: 'check-port' };
  return { kind: 'write-port', host: hostname, tls: protocol === 'https:' };
}

/**
 * Whether an error says that the name does not exist, or that nothing listens there, as far as can be told; through a
 * proxy, of the proxy or of what it says about the place. Other failures (no route, no answer, a busy name server) may
 * pass.
 */
export function isNeverThere({ code, facts }: TartletError): boolean {
  if (code === 'NET_DNS') return facts.retryable !== true;
  if (code !== 'NET_CONNECT' && code !== 'NET_PROXY') return false;
  // What squid calls it on its own pages.
  if (/^ERR_(?:CONNECT_FAIL|DNS_FAIL)\b/.test(facts.found ?? '')) return true;
  return causes(facts.cause).some((cause) => ['ECONNREFUSED', 'ENOTFOUND'].includes(systemCode(cause) ?? ''));
}

/**
 * What undici says when the bytes are no HTTP/1.1, or have two lengths (reliability N22). Some of what a server must
 * not send (a 101 that was not asked for) it meets with an assertion; there are none of our own.
 */
function isProtocolError(code: string, chain: readonly unknown[]): boolean {
  return (
    code.startsWith('HPE_') ||
    code === 'ERR_ASSERTION' ||
    code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH' ||
    chain.some((cause) => cause instanceof Error && cause.name === 'HTTPParserError')
  );
}

/** `host:port` as a message names it; the port is always there. */
export function hostAndPort(origin: URL): string {
  return `${origin.hostname}:${origin.port === '' ? (origin.protocol === 'http:' ? '80' : '443') : origin.port}`;
}

function tlsError(code: string, error: unknown, where: string): TartletError {
  const facts = { subject: where, cause: error, retryable: false };
  if (NOT_TLS.has(code)) {
    return new TartletError('NET_TLS', `${where} answered without TLS`, {
      ...facts,
      next: { kind: 'allow-plain-http' },
    });
  }
  const certificateWanted =
    /certificate.required/i.test(code) ||
    /alert (?:certificate required|handshake failure|bad certificate)/i.test(describeError(error));
  if (certificateWanted) {
    return new TartletError('NET_TLS', `${where} refused the TLS handshake: it may want a client certificate`, {
      ...facts,
      next: nextForClientCertificate(where),
    });
  }
  const reason = namesInCertificate(error) ?? cleanText(describeError(error));
  return new TartletError('NET_TLS', `no trusted TLS connection to ${where}: ${reason} (${code})`, {
    ...facts,
    next: UNKNOWN_CA.has(code) ? { kind: 'trust-ca' } : { kind: 'check-certificate' },
  });
}

/** Where a client certificate for a registry belongs (Docker's rule). */
export function nextForClientCertificate(where: string): Hint {
  return { kind: 'give-client-certificate', registry: where };
}

/**
 * For whom a certificate is that is not for this host; Node does not say so when the host is an address (reliability
 * N7).
 */
function namesInCertificate(error: unknown): string | undefined {
  if (systemCode(error) !== 'ERR_TLS_CERT_ALTNAME_INVALID' || !(error instanceof Error) || !('cert' in error))
    return undefined;
  const { subjectaltname } = error.cert as { readonly subjectaltname?: unknown };
  return typeof subjectaltname === 'string' ? `its certificate is for ${cleanText(subjectaltname)} only` : undefined;
}

/** The error, its causes and the parts of aggregates, outermost first; at most eight levels. */
function causes(error: unknown, depth = 0): unknown[] {
  if (depth > 8 || typeof error !== 'object' || error === null) return [error];
  const parts: unknown[] = error instanceof AggregateError ? error.errors : [];
  const cause = 'cause' in error ? [error.cause] : [];
  return [error, ...[...parts, ...cause].flatMap((part) => causes(part, depth + 1))];
}
