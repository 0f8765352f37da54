import { createServer } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { answersByTcp, bridgedAddress, type GivenLease } from '../../src/network/bridged-address.ts';
import type { Neighbour } from '../../src/network/neighbours.ts';

const OURS = '52:54:00:00:00:01';
const OTHER = '52:54:00:00:00:02';
const NOW = 1_000_000;
/** The guest's run began a minute ago. */
const STARTED = NOW - 60_000;

const lease = (mac: string, address: string, facts: Partial<GivenLease> = {}): GivenLease => ({
  mac,
  address,
  expiresAt: NOW + 500_000,
  ...facts,
});
const neighbour = (mac: string, address: string): Neighbour => ({ mac, address });

interface Row {
  readonly leases?: readonly GivenLease[];
  readonly neighbours?: readonly Neighbour[];
  readonly answering?: readonly string[];
  readonly from?: 'leases' | 'neighbours';
}

describe('the address of a guest on a bridge', () => {
  it.each<[string, Row, string | undefined]>([
    [
      'is that of its lease when it answers there',
      { leases: [lease(OURS, '10.0.0.5')], neighbours: [neighbour(OURS, '10.0.0.5')], answering: ['10.0.0.5'] },
      '10.0.0.5',
    ],
    ['is none while nothing answers', { leases: [lease(OURS, '10.0.0.5')] }, undefined],
    [
      'is not an old one that another guest has now',
      { leases: [lease(OURS, '10.0.0.5')], neighbours: [neighbour(OTHER, '10.0.0.5')], answering: ['10.0.0.5'] },
      undefined,
    ],
    [
      'is not that of an old lease whose guest is gone, though the kernel remembers it',
      {
        leases: [lease(OURS, '10.0.0.5', { givenAt: STARTED - 1 })],
        neighbours: [neighbour(OURS, '10.0.0.5')],
      },
      undefined,
    ],
    [
      'is not that of a lease that has ended',
      { leases: [lease(OURS, '10.0.0.5', { expiresAt: NOW })], answering: ['10.0.0.5'] },
      undefined,
    ],
    [
      'is not that of another card with a lease',
      { leases: [lease(OTHER, '10.0.0.5')], neighbours: [neighbour(OTHER, '10.0.0.5')], answering: ['10.0.0.5'] },
      undefined,
    ],
    [
      'is the one of two leases at which it answers',
      {
        leases: [lease(OURS, '10.0.0.5', { expiresAt: NOW + 900_000 }), lease(OURS, '10.0.0.6')],
        neighbours: [neighbour(OTHER, '10.0.0.5'), neighbour(OURS, '10.0.0.6')],
        answering: ['10.0.0.5', '10.0.0.6'],
      },
      '10.0.0.6',
    ],
    [
      'is that of a guest whose firewall drops what is asked, when it took it in this run',
      {
        leases: [lease(OURS, '10.0.0.5', { givenAt: NOW - 10_000 })],
        neighbours: [neighbour(OURS, '10.0.0.5')],
      },
      '10.0.0.5',
    ],
    [
      'is none in the first seconds after it was given, when the guest does not use it yet',
      {
        leases: [lease(OURS, '10.0.0.5', { givenAt: NOW - 9_999 })],
        neighbours: [neighbour(OURS, '10.0.0.5')],
      },
      undefined,
    ],
    [
      'is known by the neighbours alone where the DHCP server is elsewhere',
      { neighbours: [neighbour(OURS, '10.0.0.7')], answering: ['10.0.0.7'] },
      '10.0.0.7',
    ],
    [
      'is looked for among neighbours alone when that is asked for',
      { from: 'neighbours', leases: [lease(OURS, '10.0.0.5')], answering: ['10.0.0.5'] },
      undefined,
    ],
    [
      'is found among neighbours alone',
      { from: 'neighbours', neighbours: [neighbour(OURS, '10.0.0.5')], answering: ['10.0.0.5'] },
      '10.0.0.5',
    ],
  ])('%s', async (_, { leases = [], neighbours = [], answering = [], from = 'leases' }, expected) => {
    const view = {
      leases: async () => leases,
      neighbours: async () => neighbours,
      answers: async (address: string) => answering.includes(address),
      now: () => NOW,
    };
    const found = await bridgedAddress(view, { mac: OURS.toUpperCase(), startedAt: STARTED }, from);
    expect(found).toBe(expected);
  });
});

it('a machine that refuses a connection answers as well', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  expect(await answersByTcp('127.0.0.1', port, 5000)).toBe(true);
  await new Promise((resolve) => server.close(resolve));
  expect(await answersByTcp('127.0.0.1', port, 5000)).toBe(true);
});
