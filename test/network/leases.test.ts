import { describe, expect, it } from 'vitest';
import { leasesOf, parseDnsmasqLeases, parseLibvirtLeases } from '../../src/network/leases.ts';
import { parseNeighbours } from '../../src/network/neighbours.ts';

describe("dnsmasq's leases", () => {
  it.each([
    [
      'a guest that tells its name and its client id',
      '1796043600 52:54:00:AB:cd:01 192.168.64.50 ci ff:4d:ab:cd:01\n',
      [{ mac: '52:54:00:ab:cd:01', address: '192.168.64.50', expiresAt: 1_796_043_600_000 }],
    ],
    ['one for ever', '0 52:54:00:ab:cd:01 192.168.64.50 * *', [{ mac: '52:54:00:ab:cd:01', address: '192.168.64.50' }]],
    [
      'a card that is not of Ethernet',
      '1796043600 06-52:54:00:ab:cd:01 192.168.64.50 * *',
      [{ mac: '52:54:00:ab:cd:01', address: '192.168.64.50', expiresAt: 1_796_043_600_000 }],
    ],
    ['IPv6', 'duid 00:01:00:01\n1796043600 2881481 fd00::5 * 00:01:00:01\n', []],
    ['a line that is half written', '1796043600 52:54:00:ab:cd', []],
    ['an address that is none', '1796043600 52:54:00:ab:cd:01 192.168.64.500 * *', []],
    ['no time', 'soon 52:54:00:ab:cd:01 192.168.64.50 * *', []],
    ['nothing', '', []],
  ])('%s', (_, text, leases) => {
    expect(parseDnsmasqLeases(text)).toEqual(leases);
  });
});

it.each([
  [
    'the leases of a bridge',
    '[{"ip-address":"192.168.122.7","mac-address":"52:54:00:ab:cd:02","client-id":"01:52","expiry-time":1796043600}]',
    [{ mac: '52:54:00:ab:cd:02', address: '192.168.122.7', expiresAt: 1_796_043_600_000 }],
  ],
  ['a lease without a time', '[{"ip-address":"192.168.122.7","mac-address":"52:54:00:ab:cd:02"}]', []],
  ['what is no list', '{"ip-address":"192.168.122.7"}', []],
  ['what is no JSON', '[{', []],
])("libvirt's file has %s", (_, text, leases) => {
  expect(parseLibvirtLeases(text)).toEqual(leases);
});

it('the lease of a card that was given last is the first, and those of others and of the past are none', () => {
  const leases = (
    [
      ['192.168.64.2', '52:54:00:00:00:01', 2000],
      ['192.168.64.3', '52:54:00:00:00:02', 9000],
      ['192.168.64.4', '52:54:00:00:00:01', 3000],
      ['192.168.64.5', '52:54:00:00:00:01', 1000],
      ['192.168.64.6', '52:54:00:00:00:01', undefined],
    ] as const
  ).map(([address, mac, expiresAt]) => ({ address, mac, expiresAt }));
  expect(leasesOf(leases, '52:54:00:00:00:01', 1000).map(({ address }) => address)).toEqual([
    '192.168.64.6',
    '192.168.64.4',
    '192.168.64.2',
  ]);
});

it('of the neighbours those count that have answered', () => {
  const table = `IP address       HW type     Flags       HW address            Mask     Device
192.168.64.50    0x1         0x2         52:54:00:AB:CD:01     *        tartlet0
192.168.64.51    0x1         0x0         00:00:00:00:00:00     *        tartlet0
192.168.64.52    0x1         0x6         52:54:00:ab:cd:03     *        tartlet0
`;
  expect(parseNeighbours(table)).toEqual([
    { address: '192.168.64.50', mac: '52:54:00:ab:cd:01' },
    { address: '192.168.64.52', mac: '52:54:00:ab:cd:03' },
  ]);
  expect(parseNeighbours('')).toEqual([]);
});
