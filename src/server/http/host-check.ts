import type { IncomingMessage } from 'node:http';
import { isLoopbackHost, parseIpAddress } from '../../names/ip-address.ts';
import { RegistryAddress } from '../../names/registry-address.ts';
import { Refusal } from '../contract/refusal.ts';

/**
 * Keeps web pages away from a registry on the own machine (reliability S40). A page can make a browser send requests
 * here, and by DNS rebinding even read the answers, but it cannot choose the `Host` it is known by, nor hide that it is
 * a page. Allowed are loopback names, the very address the connection was made to, and names that were configured.
 *
 * @throws Refusal 421 for a foreign host, 403 for a browser.
 */
export function checkHostHeader(request: IncomingMessage, hostNames: ReadonlySet<string>): void {
  const site = request.headers['sec-fetch-site'];
  if (request.headers.origin !== undefined || (site !== undefined && site !== 'same-origin' && site !== 'none')) {
    throw new Refusal(403, 'DENIED', 'web pages may not use this registry');
  }
  const address = RegistryAddress.tryParse(request.headers.host ?? '');
  if (address === undefined) throw new Refusal(400, 'UNSUPPORTED', 'the Host header is missing or malformed');
  if (isLoopbackHost(address.host) || hostNames.has(address.host)) return;
  if (address.host === localAddress(request)) return;
  throw new Refusal(421, 'DENIED', `this registry is not known as ${address.host}; its host names can be configured`);
}

/** The address of our end of the connection, written as a host: an IPv4 address that came in by IPv6 is IPv4 again. */
function localAddress(request: IncomingMessage): string | undefined {
  const local = parseIpAddress(request.socket.localAddress ?? '');
  return local?.kind() === 'ipv6' ? `[${local.toString()}]` : local?.toString();
}
