import { createSocket } from 'node:dgram';
import { createServer, type AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { settlePorts } from '../../src/network/published-ports.ts';

const tcp = { protocol: 'tcp', hostAddress: '127.0.0.1', guestPort: 80 } as const;
const udp = { ...tcp, protocol: 'udp' } as const;

it('any free port is one that is known, and a port that was named stays', async () => {
  const [one, other, named] = await settlePorts([
    { ...tcp, hostPort: 0 },
    { ...udp, hostPort: 0 },
    { ...tcp, hostAddress: '127.64.0.9', hostPort: 54_321 },
  ]);
  expect(one).toMatchObject({ protocol: 'tcp', guestPort: 80, hostAddress: '127.0.0.1' });
  expect([one?.hostPort, other?.hostPort]).not.toContain(0);
  expect(named?.hostPort).toBe(54_321);
});

it('a port that is taken is refused, of TCP or of UDP', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  await expect(settlePorts([{ ...tcp, hostPort: port }])).rejects.toMatchObject({
    code: 'GUEST_FAILED',
    message: `tcp port ${port} of 127.0.0.1 is taken (EADDRINUSE)`,
  });
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind({ address: '127.0.0.1', port: 0 }, resolve));
  onTestFinished(() => void socket.close());
  await expect(settlePorts([{ ...udp, hostPort: socket.address().port }])).rejects.toMatchObject({
    message: `udp port ${socket.address().port} of 127.0.0.1 is taken (EADDRINUSE)`,
  });
});

it('an address of another machine is refused', async () => {
  await expect(settlePorts([{ ...tcp, hostAddress: '192.0.2.1', hostPort: 80 }])).rejects.toMatchObject({
    message: 'this machine has no address 192.0.2.1',
    facts: { next: { kind: 'publish-on-own-address' } },
  });
});
