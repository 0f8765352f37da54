import type { IncomingMessage } from 'node:http';
import { isLoopbackHost, parseIpAddress } from '../../names/ip-address.ts';
import { RegistryAddress } from '../../names/registry-address.ts';
import { Refusal } from '../contract/refusal.ts';

/**
 * Keeps web pages away from a registry on the own machine (reliability S40). A page can make a browser send requests
 * here, and by DNS rebinding even read the answers, but it cannot choose the `Host` it is known by, nor hide that it is
 * a page. Allowed are loopback names, the very address the connection was made to, and names that were configured. A
 * link on another page may lead to what is beside the API: the browser then shows the answer to its user alone.
 *
 * @param isLinkable whether the address is one that may be linked to.
 * @throws Refusal 421 for a foreign host, 403 for a browser.
 */
export function checkHostHeader(
  request: IncomingMessage,
  { hostNames, isLinkable }: { readonly hostNames: ReadonlySet<string>; readonly isLinkable: boolean },
): void {
  const site = request.headers['sec-fetch-site'];
  const isOwn = site === undefined || site === 'same-origin' || site === 'none';
  if (request.headers.origin !== undefined || !(isOwn || (isLinkable && isFollowedLink(request)))) {
    throw new Refusal(403, 'DENIED', 'web pages may not use this registry');
  }
  const address = RegistryAddress.tryParse(request.headers.host ?? '');
  if (address === undefined) throw new Refusal(400, 'UNSUPPORTED', 'the Host header is missing or malformed');
  if (isLoopbackHost(address.host) || hostNames.has(address.host)) return;
  if (address.host === localAddress(request)) return;
  throw new Refusal(421, 'DENIED', `this registry is not known as ${address.host}; its host names can be configured`);
}

/** A user went to another page, in a window and not in a frame (Fetch Metadata, `Sec-Fetch-Mode` and `-Dest`). */
function isFollowedLink({ method, headers }: IncomingMessage): boolean {
  return method === 'GET' && headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';
}

/** The address of our end of the connection, written as a host: an IPv4 address that came in by IPv6 is IPv4 again. */
function localAddress(request: IncomingMessage): string | undefined {
  const local = parseIpAddress(request.socket.localAddress ?? '');
  return local?.kind() === 'ipv6' ? `[${local.toString()}]` : local?.toString();
}
