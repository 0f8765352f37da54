import type { ConnectionOptions } from 'node:tls';
import type { EndpointManner } from '../../../endpoints/endpoint.ts';
import { systemCode } from '../../../errors.ts';
import { isLoopbackHost } from '../../../names/ip-address.ts';
import type { RegistryAddress } from '../../../names/registry-address.ts';
import { registryLookup } from './lookup.ts';
import { isPlainHttpAnswer } from '../../request/network-error.ts';

/** Docker Hub's name and where it really is; its own name answers with a web page (openai/tart#1275). */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ['docker.io', 'registry-1.docker.io'],
  ['index.docker.io', 'registry-1.docker.io'],
]);

export interface EndpointOptions {
  /** Plain HTTP, because the user said so. */
  readonly insecure?: boolean;
  /** As the settings say it; see `Endpoint.scheme`. Default: `usual`. */
  readonly scheme?: EndpointManner['scheme'] | undefined;
  /** How long a loopback registry may take to show that it speaks TLS, in milliseconds. */
  readonly probeMs: number;
  /** Whether a proxy leads to a URL: then its port cannot be greeted, and has TLS. Default: none does. */
  readonly isProxied?: (url: URL) => boolean;
}

/** Where a registry really is, which is another host than its name for Docker Hub. */
export function dialledHost({ host }: RegistryAddress): string {
  return ALIASES.get(host) ?? host;
}

/**
 * The base URL of a registry. Always https, except: plain HTTP when the user asked for it, in the command or in the
 * settings of the endpoint, and for a loopback address with a written port that does not answer a TLS greeting
 * (reliability §3.2). No other registry ever falls back from TLS. Never rejects.
 */
export async function resolveEndpoint(registry: RegistryAddress, options: EndpointOptions): Promise<URL> {
  const host = dialledHost(registry);
  const authority = registry.port === undefined ? host : `${host}:${registry.port}`;
  const { insecure = false, scheme = 'usual', probeMs } = options;
  const plain = new URL(`http://${authority}`);
  const secure = new URL(`https://${authority}`);
  if (insecure || scheme === 'http') return plain;
  const mayBePlain =
    (scheme === 'either' && options.isProxied?.(secure) !== true) || (scheme === 'usual' && isOnThisMachine(registry));
  return mayBePlain && !(await speaksTls(secure, probeMs)) ? plain : secure;
}

function isOnThisMachine({ host, port }: RegistryAddress): boolean {
  return isLoopbackHost(host) && port !== undefined;
}

/**
 * Greets the port of a URL in TLS, and tells whether it answered so. The certificate is not looked at: that is for the
 * connection that will be used. Never rejects.
 */
export async function speaksTls(url: URL, timeoutMs: number): Promise<boolean> {
  const { connect, createSecureContext } = await import('node:tls');
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = url.port === '' ? (url.protocol === 'http:' ? 80 : 443) : Number(url.port);
  return new Promise((resolve) => {
    // `lookup` is passed on to net.connect, although the types of tls.connect do not say so.
    const options: ConnectionOptions & { lookup: ReturnType<typeof registryLookup> } = {
      host,
      port,
      rejectUnauthorized: false,
      // No certificate authority is trusted here, so that none are loaded: it would take longer than the rest of the
      // greeting.
      secureContext: createSecureContext({ ca: [] }),
      ALPNProtocols: ['http/1.1'],
      lookup: registryLookup(),
    };
    const socket = connect(options);
    const decide = (tls: boolean) => {
      resolve(tls);
      socket.destroy();
    };
    socket.setTimeout(timeoutMs, () => decide(false));
    socket.once('secureConnect', () => decide(true));
    // A TLS alert (no common version, a client certificate wanted) is an answer in TLS; a reset or a refused connection
    // is none.
    socket.on('error', (error) =>
      decide(!isPlainHttpAnswer(error) && /^ERR_(?:SSL|TLS)_/.test(systemCode(error) ?? '')),
    );
    socket.once('close', () => decide(false));
  });
}
