import { createServer } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { findSshDoor, ownAddress } from '../../src/network/own-address.ts';
import { leaveOut } from '../support/left-out.ts';
import { answersBySsh } from '../../src/network/guest-answer.ts';

it('every VM has a loopback address of its own, always the same', () => {
  expect(ownAddress('ci', 0)).toBe('127.108.27.84');
  const addresses = new Set(Array.from({ length: 500 }, (_, at) => ownAddress(`vm-${at}`, 0)));
  expect(addresses.size).toBeGreaterThan(495);
  for (const address of addresses) {
    const [first, second, , last] = address.split('.').map(Number);
    expect([first, (second ?? 0) & 0xc0, last !== 0 && last !== 255]).toEqual([127, 64, true]);
  }
});

it('another address is found where the first is taken', async (context) => {
  leaveOut(context, process.getuid?.() !== 0, 'ports below 1024 are for root');
  const name = 'taken';
  const server = createServer();
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen({ host: ownAddress(name, 0), port: 22 }, resolve));
  expect(await findSshDoor(name)).toEqual({ address: ownAddress(name, 1), port: 22 });
});

it.each([
  ['an SSH server', 'SSH-2.0-dropbear\r\n', true],
  ['another server', 'HTTP/1.1 400\r\n', false],
  ['what forwards a port before the guest is up, and says nothing', '', false],
])('%s answers: %s', async (_, greeting, expected) => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    if (greeting !== '') socket.end(greeting);
  });
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  expect(await answersBySsh('127.0.0.1', port, 200)).toBe(expected);
});
