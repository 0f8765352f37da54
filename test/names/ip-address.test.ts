import { describe, expect, it } from 'vitest';
import { classOfAddress, isInBlock, isLoopbackHost, parseIpAddress } from '../../src/names/ip-address.ts';
import { RegistryAddress } from '../../src/names/registry-address.ts';

describe('the class of an address (S9)', () => {
  it.each([
    ['public', ['8.8.8.8', '172.15.255.255', '172.32.0.1', '100.63.255.255', '2606:4700::1111', '64:ff9b::808:808']],
    ['private', ['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', '100.64.0.1', '198.18.0.7', 'fd12::1']],
    [
      'private',
      [
        '::ffff:10.0.0.1',
        '64:ff9b::a00:1',
        '2002:a00:1::',
        '::10.0.0.1',
        'fec0::1',
        '::ffff:0:10.0.0.1',
        '64:ff9b:1::8.8.8.8',
      ],
    ],
    [
      'link-local',
      ['169.254.1.1', 'fe80::1', 'fe80::1%eth0', '[fe80::1%eth0.100]', '::ffff:169.254.1.1', '2002:a9fe:101::'],
    ],
    ['loopback', ['127.0.0.1', '127.255.255.254', '::1', '[::1]', '[::1%lo]', '::ffff:7f00:1', '::ffff:127.0.0.1']],
    // Where these lead is for others to decide; what they are sent to is our own machine's name for itself.
    ['loopback', ['64:ff9b::127.0.0.1', '2002:7f00:1::', '::127.0.0.1', '::ffff:0:127.0.0.1', '127.1', '0x7f.1']],
    [
      'service',
      [
        '169.254.169.254',
        '::ffff:169.254.169.254',
        '64:ff9b::a9fe:a9fe',
        '2002:a9fe:a9fe::',
        'fd00:ec2::254',
        '100.100.100.200',
        '168.63.129.16',
      ],
    ],
    [
      'no-host',
      [
        '0.0.0.0',
        '0.1.2.3',
        '::',
        '224.0.0.1',
        '255.255.255.255',
        'ff02::1',
        'example.org',
        '',
        '%eth0',
        '[]',
        '1.2.3.4.5',
        '::1::',
      ],
    ],
  ])('%s: %j', (expected, addresses) => {
    expect(addresses.map((address) => classOfAddress(address))).toEqual(addresses.map(() => expected));
  });
});

describe('loopback (reliability §3.2)', () => {
  it.each([
    'localhost',
    'LocalHost:5000',
    'foo.localhost',
    'a.b.localhost:1',
    '127.0.0.1',
    '127.255.255.254:5000',
    '127.1',
    '0x7f.1',
    '0177.0.0.1',
    '2130706433',
    '0x7f000001',
    '[::1]',
    '[0:0:0:0:0:0:0:1]:5000',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::FFFF:7FFF:1]:80',
  ])('%s is this machine', (text) => {
    expect(isLoopbackHost(RegistryAddress.parse(text).host)).toBe(true);
  });

  it.each([
    '0.0.0.0',
    '10.0.0.1',
    '192.168.0.1:5000',
    '128.0.0.1',
    '127.0.0.1.example',
    'localhost.example',
    'mylocalhost',
    'registry.local',
    'host.docker.internal',
    'ghcr.io',
    '[::]',
    '[::2]',
    '[::127.0.0.1]',
    '[::ffff:10.0.0.1]',
    '[::ffff:0.127.0.1]',
    '[fe80::1]',
    '[64:ff9b::127.0.0.1]',
    '[2002:7f00:1::]',
    '127',
  ])('%s is not', (text) => {
    expect(isLoopbackHost(RegistryAddress.parse(text).host)).toBe(false);
  });
});

describe('a host that is no registry address', () => {
  it.each(['::1', '::ffff:127.0.0.1', '::FFFF:127.9.9.9', '::1%lo', '[::1%lo.1]', '0:0:0:0:0:0:0:1', 'LOCALHOST'])(
    '%s is this machine',
    (host) => {
      expect(isLoopbackHost(host)).toBe(true);
    },
  );

  it.each([
    '',
    '::',
    '0.0.0.0',
    '*',
    '[127.0.0.1]',
    '127.0.0.1%lo',
    '::ffff:10.0.0.1',
    'fe80::1%lo',
    'localhost.',
    '::127.0.0.1',
  ])('%j is not', (host) => {
    expect(isLoopbackHost(host)).toBe(false);
  });
});

it('an IPv4 address in IPv6 is IPv4, and a zone is no part of an address', () => {
  expect(parseIpAddress('::ffff:192.0.2.1')?.toString()).toBe('192.0.2.1');
  expect(parseIpAddress('[FE80:0:0::1%eth0.100]')?.toString()).toBe('fe80::1');
  expect(parseIpAddress('registry.example')).toBeUndefined();
});

describe('a block of addresses', () => {
  it.each([
    ['10.1.2.3', '10.0.0.0/8', true],
    ['11.1.2.3', '10.0.0.0/8', false],
    ['::ffff:10.1.2.3', '10.0.0.0/8', true],
    ['10.1.2.3', '::ffff:10.0.0.0/104', true],
    ['11.1.2.3', '::ffff:10.0.0.0/104', false],
    ['fd12::1', 'fd00::/8', true],
    ['fe80::1%eth0', 'fe80::/10', true],
    ['::1', '127.0.0.0/8', false],
    ['10.1.2.3', '10.0.0.0/33', false],
    ['10.1.2.3', '10.0.0.0/-1', false],
    ['10.1.2.3', '10.0.0.0/', false],
    ['10.1.2.3', 'example/8', false],
    ['registry.example', '0.0.0.0/0', false],
    ['10.1.2.3', '0.0.0.0/0', true],
  ])('%s in %s: %s', (address, block, isIn) => {
    expect(isInBlock(address, block)).toBe(isIn);
  });
});
