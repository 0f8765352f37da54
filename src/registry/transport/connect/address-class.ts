import { BlockList, isIP } from 'node:net';

/**
 * Whose network an address is on. `service` is what a cloud answers on by itself (metadata, with credentials in it); `nobody` is no single
 * machine: unspecified, multicast, broadcast, reserved.
 */
export type AddressClass = 'public' | 'private' | 'link-local' | 'loopback' | 'service' | 'nobody';

/** The first block that holds an address decides (reliability S9; IANA's special-purpose registries, RFC 6890). */
const BLOCKS: readonly (readonly [AddressClass, readonly string[]])[] = [
  // Amazon (twice, and ECS), Alibaba, Azure's wire server, Oracle.
  [
    'service',
    [
      '169.254.169.254/32',
      '169.254.170.2/32',
      '100.100.100.200/32',
      '168.63.129.16/32',
      '192.0.0.192/32',
      'fd00:ec2::254/128',
    ],
  ],
  ['loopback', ['127.0.0.0/8', '::1/128']],
  ['link-local', ['169.254.0.0/16', 'fe80::/10']],
  // Beside RFC 1918: carriers' and VPNs' shared space, protocol assignments, and the benchmark block that DNS-hijacking proxies answer with.
  [
    'private',
    ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '192.0.0.0/24', '198.18.0.0/15', 'fc00::/7'],
  ],
  // Site-local, and NAT64 with a prefix of one's own (RFC 8215).
  ['private', ['fec0::/10', '64:ff9b:1::/48']],
  ['nobody', ['0.0.0.0/8', '224.0.0.0/3', '::/128', 'ff00::/8']],
];

type Lists = readonly (readonly [AddressClass, BlockList])[];
let lists: Lists | undefined;

/** Made when they are first asked for: most threads of most transfers never do. */
function blockLists(): Lists {
  lists ??= BLOCKS.map(([name, blocks]) => {
    const list = new BlockList();
    for (const block of blocks) {
      const [network = '', bits = ''] = block.split('/');
      list.addSubnet(network, Number(bits), network.includes(':') ? 'ipv6' : 'ipv4');
    }
    return [name, list];
  });
  return lists;
}

/** IPv6 blocks whose addresses carry an IPv4 address, and the 16-bit group it begins at: NAT64, 6to4, mapped, compatible, translated. */
const CARRIERS: readonly (readonly [prefix: RegExp, group: number])[] = [
  [/^64:ff9b:0:0:0:0:/, 6],
  [/^2002:/, 1],
  [/^0:0:0:0:0:(?:ffff|0):/, 6],
  [/^0:0:0:0:ffff:0:/, 6],
];

/** The class of an address, however it is spelled. Whatever is no address at all is nobody's. */
export function classOfAddress(address: string): AddressClass {
  const bare = address.replace(/%.*$/, '').replace(/^\[|\]$/g, '');
  const family = isIP(bare);
  if (family === 0) return 'nobody';
  const kind = family === 6 ? 'ipv6' : 'ipv4';
  const found = blockLists().find(([, list]) => list.check(bare, kind))?.[0];
  if (found !== undefined || family === 4) return found ?? 'public';
  const carried = carriedAddress(bare);
  return carried === undefined ? 'public' : classOfAddress(carried);
}

/** The IPv4 address inside an IPv6 one, for those blocks that lead to IPv4. */
function carriedAddress(address: string): string | undefined {
  const groups = groupsOf(address);
  const text = groups.map((group) => group.toString(16)).join(':');
  const carrier = CARRIERS.find(([prefix]) => prefix.test(text));
  if (carrier === undefined) return undefined;
  const [high = 0, low = 0] = groups.slice(carrier[1]);
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

/** The eight groups of a valid IPv6 address. `URL` has already turned a dotted tail into two of them. */
function groupsOf(address: string): number[] {
  const [head = '', tail] = new URL(`http://[${address}]/`).hostname.slice(1, -1).split('::');
  const numbers = (part: string): number[] => (part === '' ? [] : part.split(':').map((group) => parseInt(group, 16)));
  const first = numbers(head);
  const last = numbers(tail ?? '');
  return [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last];
}
