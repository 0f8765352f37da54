import { parseIpAddress } from '../../names/ip-address.ts';

/**
 * What limits count as one client: an IPv4 address, also where it came in by IPv6, and of an IPv6 address the first 64
 * bits, because a client has all addresses of its network (RFC 4291 §2.5.4).
 * @param address as a socket tells it; undefined once it is closed.
 */
export function clientOf(address: string | undefined): string {
  const parsed = parseIpAddress(address ?? '');
  if (parsed === undefined) return address ?? '';
  if (!('parts' in parsed)) return parsed.toString();
  const network = parsed.parts.slice(0, 4).map((group) => group.toString(16));
  return `${network.join(':')}::/64`;
}
