import ipaddr from 'ipaddr.js';

/*
 * What an address of a machine means, in whichever way it is spelled. Only code that talks to a network imports this:
 * the library behind it is not loaded by commands that stay on this machine.
 */

/**
 * Whose network an address is on. `service` is what a cloud answers on by itself (metadata, with credentials in it);
 * `no-host` is no single machine: unspecified, multicast, broadcast, reserved.
 */
export type AddressClass = 'public' | 'private' | 'link-local' | 'loopback' | 'service' | 'no-host';

/** An address as it is compared: an IPv4 address in IPv6 (`::ffff:127.0.0.1`) is IPv4. */
export type IpAddress = ipaddr.IPv4 | ipaddr.IPv6;

type Block = [IpAddress, number];

/**
 * The first class with a block that holds an address decides (reliability S9; IANA's special-purpose registries, RFC
 * 6890).
 */
const BLOCKS: Readonly<Record<Exclude<AddressClass, 'public'>, readonly string[]>> = {
  service: [
    // Amazon (twice, and ECS), Alibaba, Azure's wire server, Oracle.
    '169.254.169.254/32',
    '169.254.170.2/32',
    '100.100.100.200/32',
    '168.63.129.16/32',
    '192.0.0.192/32',
    'fd00:ec2::254/128',
  ],
  loopback: ['127.0.0.0/8', '::1/128'],
  'link-local': ['169.254.0.0/16', 'fe80::/10'],
  private: [
    '10.0.0.0/8',
    '172.16.0.0/12',
    '192.168.0.0/16',
    'fc00::/7',
    // Carriers' and VPNs' shared space, protocol assignments, and the benchmark block that DNS-hijacking proxies answer
    // with.
    '100.64.0.0/10',
    '192.0.0.0/24',
    '198.18.0.0/15',
    // Site-local, and NAT64 with a prefix of one's own (RFC 8215).
    'fec0::/10',
    '64:ff9b:1::/48',
  ],
  'no-host': ['0.0.0.0/8', '224.0.0.0/3', '::/128', 'ff00::/8'],
};

/**
 * IPv6 blocks whose addresses carry an IPv4 address, and the 16-bit group it begins at: NAT64, 6to4, compatible,
 * translated.
 */
const CARRIERS: readonly (readonly [block: string, group: number])[] = [
  ['64:ff9b::/96', 6],
  ['2002::/16', 1],
  ['::/96', 6],
  ['::ffff:0:0:0/96', 6],
];

let blocks: Record<string, Block[]> | undefined;

/** Made when they are first asked for: most threads of most transfers never do. */
function parsedBlocks(): Record<string, Block[]> {
  blocks ??= Object.fromEntries(Object.entries(BLOCKS).map(([kind, texts]) => [kind, texts.map(ipaddr.parseCIDR)]));
  return blocks;
}

/**
 * Reads an address in any spelling that systems take: `127.1`, `0x7f.1`, `[::1]`, `fe80::1%eth0`. The zone is left out:
 * it says by which cable, not where.
 * @returns undefined for what is no address, e.g. a name.
 */
export function parseIpAddress(text: string): IpAddress | undefined {
  const bare = text.includes(':') ? plainIpv6(text) : text;
  return ipaddr.isValid(bare) ? ipaddr.process(bare) : undefined;
}

/**
 * Without brackets, zone and dots, or empty. The library takes no zones with a dot, which VLANs have (`eth0.100`), and
 * takes `::127.0.0.1`, which is no machine, for `::ffff:127.0.0.1`.
 */
function plainIpv6(text: string): string {
  const bare = text.replace(/^\[(.*)\]$/s, '$1').replace(/%.*$/s, '');
  const url = `http://[${bare}]/`;
  return /^[0-9a-f:.]+$/i.test(bare) && URL.canParse(url) ? new URL(url).hostname.slice(1, -1) : '';
}

/** The class of an address, however it is spelled. Text that is no address is of class `no-host`. */
export function classOfAddress(address: string): AddressClass {
  const parsed = parseIpAddress(address);
  return parsed === undefined ? 'no-host' : classOf(parsed);
}

function classOf(address: IpAddress): AddressClass {
  const found = ipaddr.subnetMatch(address, parsedBlocks(), 'public') as AddressClass;
  const carried = found === 'public' && address instanceof ipaddr.IPv6 ? carriedAddress(address) : undefined;
  return carried === undefined ? found : classOf(carried);
}

/** The IPv4 address inside an IPv6 one, for those blocks that lead to IPv4. */
function carriedAddress(address: ipaddr.IPv6): ipaddr.IPv4 | undefined {
  const carrier = CARRIERS.find(([block]) => address.match(ipaddr.IPv6.parseCIDR(block)));
  if (carrier === undefined) return undefined;
  const from = carrier[1] * 2;
  return new ipaddr.IPv4(address.toByteArray().slice(from, from + 4));
}

/** Whether an address is in a block, `10.0.0.0/8`. False when one of them is none. */
export function isInBlock(address: string, block: string): boolean {
  const parsed = parseIpAddress(address);
  if (parsed === undefined || !ipaddr.isValidCIDR(block)) return false;
  const [network, bits] = ipaddr.parseCIDR(block);
  const isMapped = bits >= 96 && network instanceof ipaddr.IPv6 && network.isIPv4MappedAddress();
  const range: Block = isMapped ? [network.toIPv4Address(), bits - 96] : [network, bits];
  return parsed.kind() === range[0].kind() && parsed.match(range);
}

/** `localhost` and its subdomains: this machine, whatever a name server says (reliability §3.2, RFC 6761 §6.3). */
export function isLocalhost(host: string): boolean {
  const name = host.toLowerCase();
  return name === 'localhost' || name.endsWith('.localhost');
}

/**
 * Whether a host is this machine: `localhost`, `*.localhost`, 127.0.0.0/8, `::1`, in any spelling, with and without
 * brackets. An address that only carries one of these to somewhere else (NAT64, 6to4) is not.
 */
export function isLoopbackHost(host: string): boolean {
  return isLocalhost(host) || parseIpAddress(host)?.range() === 'loopback';
}
