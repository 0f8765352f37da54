import { describe, expect, it } from 'vitest';
import { freeSubnet, isFree, parseSubnet } from '../../../src/network/bridge/subnet.ts';

const HEADING = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n';
/** A line of /proc/net/route, destination and mask as the kernel writes them. */
const route = (destination: string, mask: string): string =>
  `eth0\t${destination}\t00000000\t0001\t0\t0\t0\t${mask}\t0\t0\t0\n`;

describe('a private network that is free', () => {
  it.each([
    ['without any other', '', '192.168.64'],
    ['beside the way to everywhere', route('00000000', '00000000'), '192.168.64'],
    ['beside one at the same place', route('0040A8C0', '00FFFFFF'), '192.168.65'],
    ['beside one machine in it', route('0740A8C0', 'FFFFFFFF'), '192.168.65'],
    ['beside a larger one around it', route('0000A8C0', '0000FFFF'), '172.29.0'],
    ['beside all of 192.168 and of 172.16', route('0000A8C0', '0000FFFF') + route('000010AC', '0000F0FF'), '10.213.0'],
    [
      'where there is none',
      route('0000A8C0', '0000FFFF') + route('000010AC', '0000F0FF') + route('0000000A', '000000FF'),
      undefined,
    ],
  ])('%s', (_, routes, expected) => {
    expect(freeSubnet(HEADING + routes)).toBe(expected);
  });

  it('is one of 256 private addresses when it is named', () => {
    expect(['192.168.7.0/24', '10.0.0.0/24', '172.31.255.0/24'].map(parseSubnet)).toEqual([
      '192.168.7',
      '10.0.0',
      '172.31.255',
    ]);
    for (const text of ['192.168.7.0/16', '192.168.7.1/24', '172.32.0.0/24', '8.8.8.0/24', '10.0.256.0/24', 'x', ''])
      expect(parseSubnet(text)).toBeUndefined();
    expect(isFree('10.1.2', HEADING + route('0002010A', '00FFFFFF'))).toBe(false);
    expect(isFree('10.1.3', HEADING + route('0002010A', '00FFFFFF'))).toBe(true);
  });
});
