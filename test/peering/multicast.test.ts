import { createSocket } from 'node:dgram';
import { setImmediate } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { announcedPeers, announcePeer } from '../../src/peering/multicast.ts';

/** Nothing of these tests leaves this machine. */
const HERE = { interface: '127.0.0.1' };
const { signal } = new AbortController();

function fail(error: unknown): void {
  throw error;
}

it('a peer that announces itself is found by the address that it speaks from, and no more when it has ended', async () => {
  const stop = await announcePeer(54_321, HERE, fail);
  try {
    expect(await announcedPeers(HERE, signal, fail)).toContainEqual({ host: '127.0.0.1', port: 54_321 });
  } finally {
    await stop();
  }
  expect(await announcedPeers(HERE, signal, fail)).not.toContainEqual({ host: '127.0.0.1', port: 54_321 });
});

it('what others send there harms no one who listens (S86)', async () => {
  const socket = createSocket('udp4');
  onTestFinished(() => void socket.close());
  await new Promise<void>((resolve) => {
    socket.bind(0, '127.0.0.1', resolve);
  });
  socket.setMulticastInterface('127.0.0.1');
  let seed = 7;
  const random = (): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return seed >>> 16;
  };
  // An answer with one record of the service, damaged somewhere each time.
  const name = Buffer.from('\x08_tartlet\x04_tcp\x05local\x00', 'latin1');
  const target = Buffer.from('\x04evil\xc0\x0c', 'latin1');
  const record = Buffer.concat([name, Buffer.from([0, 12, 0, 1, 0, 0, 0, 9, 0, target.length]), target]);
  const srv = Buffer.concat([
    target,
    Buffer.from([0, 33, 0, 1, 0, 0, 0, 9, 0, 15, 0, 0, 0, 0, 0xff, 0xff]),
    Buffer.from('\x01a\x05local\x00', 'latin1'),
  ]);
  const answer = Buffer.concat([Buffer.from([0, 0, 0x84, 0, 0, 0, 0, 2, 0, 0, 0, 0]), record, srv]);
  const browse = { isOver: false };
  const browsing = announcedPeers(HERE, signal, fail).finally(() => {
    browse.isOver = true;
  });
  for (let each = 0; !browse.isOver; each += 1) {
    const packet = Buffer.from(answer);
    for (let damages = each % 8 === 0 ? 0 : 1 + (random() % 4); damages > 0; damages -= 1) {
      packet[12 + (random() % (packet.length - 12))] = random() & 0xff;
    }
    socket.send(packet, 5353, '224.0.0.251');
    await setImmediate();
  }
  const found = await browsing;
  expect(found).toContainEqual({ host: '127.0.0.1', port: 0xffff });
  // Names of other hosts than the sender's are not believed; it is named by its own address, if at all.
  for (const { host } of found) expect(host).toBe('127.0.0.1');
});
