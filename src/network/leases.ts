import { isIPv4 } from 'node:net';
import { isJsonObject, parseJson } from '../json/foreign.ts';

/** An IPv4 address that a DHCP server gave to a network card. */
export interface Lease {
  /** In lower case, with colons. */
  readonly mac: string;
  readonly address: string;
  /** Milliseconds since 1970; undefined for one that never ends. */
  readonly expiresAt: number | undefined;
}

/**
 * A MAC address, with the number of its kind of network before it where that is not Ethernet (dnsmasq(8),
 * `--dhcp-leasefile`).
 */
const MAC = /^(?:[0-9a-f]{2}-)?((?:[0-9a-f]{2}:){5}[0-9a-f]{2})$/i;

/**
 * Reads the file in which dnsmasq keeps its leases: `EXPIRY MAC ADDRESS HOSTNAME CLIENT-ID` a line, the expiry in
 * seconds since 1970 and 0 for never. Lines of IPv6 have a number where the MAC is, and are passed over, as everything
 * else that is no lease: a line may be half written.
 */
export function parseDnsmasqLeases(text: string): Lease[] {
  return text.split('\n').flatMap((line) => {
    const [seconds = '', card = '', address = ''] = line.split(' ');
    return leaseOf(/^\d{1,12}$/.test(seconds) ? Number(seconds) : undefined, card, address);
  });
}

/**
 * Reads what libvirt writes about the leases of one of its bridges, `/var/lib/libvirt/dnsmasq/BRIDGE.status`: a list in
 * JSON.
 */
export function parseLibvirtLeases(text: string): Lease[] {
  const list = parseJson(text);
  return (Array.isArray(list) ? (list as readonly unknown[]) : []).flatMap((one) => {
    if (!isJsonObject(one)) return [];
    const { 'expiry-time': seconds, 'mac-address': card, 'ip-address': address } = one;
    return leaseOf(typeof seconds === 'number' ? seconds : undefined, String(card), String(address));
  });
}

function leaseOf(seconds: number | undefined, card: string, address: string): Lease[] {
  const mac = MAC.exec(card)?.[1]?.toLowerCase();
  if (seconds === undefined || mac === undefined || !isIPv4(address)) return [];
  return [{ mac, address, expiresAt: seconds === 0 ? undefined : seconds * 1000 }];
}

/**
 * The leases of one card that still hold, the one that ends last first: it was given last.
 *
 * @param mac in any letter case. @param now milliseconds since 1970.
 */
export function leasesOf<L extends Lease>(leases: readonly L[], mac: string, now: number): L[] {
  const wanted = mac.toLowerCase();
  const end = ({ expiresAt }: L): number => expiresAt ?? Number.POSITIVE_INFINITY;
  return leases
    .filter((lease) => lease.mac === wanted && end(lease) > now)
    .sort((one, other) => (end(one) === end(other) ? 0 : end(other) - end(one)));
}
