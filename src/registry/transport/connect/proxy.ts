import type { IncomingMessage } from 'node:http';
import { isIP, type Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import { describeError, type ErrorFacts, TartletError } from '../../../errors.ts';
import { isInBlock, isLoopbackHost } from '../../../names/ip-address.ts';
import { hostAndPort } from '../../request/network-error.ts';
import { cleanText, redactUrl } from '../../request/redact.ts';
import { SentSecrets } from '../../request/sent-secrets.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** An HTTP proxy, and who says that it is to be used. */
export interface Proxy {
  readonly url: URL;
  /** The environment variable that names it. */
  readonly variable: string;
}

/**
 * The proxy for a URL by the usual variables, lower case first as curl does, or undefined to connect directly.
 * Loopback is never proxied (reliability N10).
 * @throws TartletError `NET_PROXY` when the variable holds something that is not an HTTP proxy.
 */
export function proxyFor(url: URL, environment: Environment): Proxy | undefined {
  const scheme = url.protocol === 'https:' ? 'https' : 'http';
  const named = [`${scheme}_proxy`, `${scheme.toUpperCase()}_PROXY`, 'all_proxy', 'ALL_PROXY'].find(
    (variable) => (environment[variable] ?? '').trim() !== '',
  );
  if (
    named === undefined ||
    isLoopbackHost(url.hostname) ||
    isExcluded(url, environment['no_proxy'] ?? environment['NO_PROXY'] ?? '')
  ) {
    return undefined;
  }
  const text = (environment[named] ?? '').trim();
  const spelled = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  const proxy = URL.canParse(spelled) ? new URL(spelled) : undefined;
  if (proxy === undefined || (proxy.protocol !== 'http:' && proxy.protocol !== 'https:') || proxy.hostname === '') {
    throw new TartletError('NET_PROXY', `${named} does not name an HTTP proxy`, {
      subject: named,
      retryable: false,
      next: { kind: 'set-proxy', variable: named },
    });
  }
  return { url: proxy, variable: named };
}

/**
 * Whether `NO_PROXY` names the host: `*`, a host with its subdomains, `.suffix`, `*.suffix`, an address or a CIDR
 * block, each with an optional port.
 */
function isExcluded(url: URL, noProxy: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
  return noProxy
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => entry === '*' || matches(entry.toLowerCase(), host, port));
}

function matches(entry: string, host: string, port: string): boolean {
  // Go's tools honour CIDR blocks in NO_PROXY, so users have them there (undici ignores them).
  if (entry.includes('/')) return isInBlock(host, entry);
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(entry);
  const named = bracketed ?? (isIP(entry) === 6 ? null : /^([^:]+)(?::(\d+))?$/.exec(entry));
  const name = named?.[1] ?? entry;
  const onlyPort = named?.[2];
  if (onlyPort !== undefined && onlyPort !== port) return false;
  if (isIP(name) !== 0 || isIP(host) !== 0) return isInBlock(host, `${name}/${isIP(name) === 6 ? 128 : 32}`);
  const suffix = name.replace(/^\*?\./, '');
  return suffix !== '' && (host === suffix || host.endsWith(`.${suffix}`));
}

/**
 * A tunnel to the TLS port `target` through `proxy`, by one CONNECT. Plain HTTP goes without a tunnel
 * (`forward-proxy.ts`). Made by hand, because undici 7's ProxyAgent asks a proxy that closes the connection again and
 * again for ever (nodejs/undici#3897).
 * @throws TartletError `NET_PROXY` that names the proxy without its password.
 */
export async function openTunnel(
  proxy: Proxy,
  target: URL,
  options: { readonly timeoutMs: number; readonly userAgent: string; readonly secureContext?: SecureContext },
): Promise<Socket> {
  const authority = hostAndPort(target);
  const { url } = proxy;
  const secure = url.protocol === 'https:';
  // Loaded when there is a proxy: most people have none.
  const { request } = secure ? await import('node:https') : await import('node:http');
  const connect = request({
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? (secure ? 443 : 80) : Number(url.port),
    method: 'CONNECT',
    path: authority,
    agent: false,
    ...(options.secureContext === undefined ? {} : { secureContext: options.secureContext }),
    headers: { host: authority, 'user-agent': options.userAgent, ...proxyAuthorization(proxy) },
  });
  return new Promise<Socket>((resolve, reject) => {
    // For all of it: a time limit of the socket's own begins anew with every byte, and with every interim answer.
    const timer = setTimeout(() => connect.destroy(proxyError(proxy, 'no answer in time')), options.timeoutMs);
    const refuse = ({ statusCode: status, headers }: IncomingMessage) => {
      const found = saidByProxy(proxy, [headers['x-squid-error']].flat()[0]);
      const said = found === undefined ? '' : ` (${found})`;
      const why = `it answered ${status ?? 'nothing'}${said} to CONNECT ${authority}`;
      reject(
        proxyError(proxy, why, {
          status,
          found,
        }),
      );
    };
    connect.on('connect', (response: IncomingMessage, socket: Socket, head: Buffer) => {
      clearTimeout(timer);
      if (response.statusCode !== 200) {
        socket.destroy();
        refuse(response);
        return;
      }
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    connect.on('response', (response: IncomingMessage) => {
      clearTimeout(timer);
      response.destroy();
      refuse(response);
    });
    connect.on('error', (error: Error) => {
      clearTimeout(timer);
      reject(error instanceof TartletError ? error : proxyError(proxy, describeError(error), { cause: error }));
    });
    connect.end();
  });
}

/**
 * What a proxy says about its refusal, as it may be shown; undefined also where it repeats the password that it got
 * from us (reliability S34).
 */
export function saidByProxy(proxy: Proxy, text: string | undefined): string | undefined {
  const secrets = new SentSecrets();
  secrets.noteAuthorization(proxyAuthorization(proxy)['proxy-authorization'] ?? '');
  return text === undefined || secrets.isIn(text) ? undefined : cleanText(text, 80);
}

/** The header for the proxy itself: never for a request that goes to a registry directly or through a tunnel. */
export function proxyAuthorization({ url: { username, password } }: Proxy): Record<string, string> {
  if (username === '' && password === '') return {};
  const pair = `${decoded(username)}:${decoded(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(pair).toString('base64')}` };
}

/** A password with a bare `%` was meant as it stands. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The proxy as a message may name it: without its password. */
export function shownProxy({ url }: Proxy): string {
  return redactUrl(url).replace(/\/$/, '');
}

/**
 * What a proxy did in place of opening a connection.
 * @param facts `status` when it answered, `found` its own code for the reason, `cause` when it could not be reached.
 */
export function proxyError(
  proxy: Proxy,
  why: string,
  facts: Pick<ErrorFacts, 'status' | 'found' | 'cause'> = {},
): TartletError {
  const shown = shownProxy(proxy);
  return new TartletError('NET_PROXY', `the proxy ${shown} opened no connection: ${why}`, {
    subject: shown,
    retryable: facts.status === undefined || facts.status >= 500,
    next:
      facts.status === 407
        ? { kind: 'give-proxy-password', variable: proxy.variable }
        : { kind: 'check-proxy', variable: proxy.variable },
    ...facts,
  });
}
