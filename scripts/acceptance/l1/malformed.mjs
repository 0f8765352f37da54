/** What hostile clients send to an NBD server: the same cases for the same seed. */
import { once } from 'node:events';
import net from 'node:net';

/** Numbers from 0 to 1, the same for a seed (mulberry32). */
function chanceOf(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Connects so many times, and sends something each time that is no or hardly a conversation.
 * @returns how many connections did not end within ten seconds.
 */
export async function attack(socketPath, count, seed) {
  const chance = chanceOf(seed);
  let left = count;
  let hung = 0;
  const attackNext = async () => {
    while (left > 0) {
      left -= 1;
      if (!(await endsAfter(socketPath, hostileBytes(chance)))) hung += 1;
    }
  };
  await Promise.all(Array.from({ length: 8 }, attackNext));
  return hung;
}

async function endsAfter(socketPath, bytes) {
  const client = net.connect(socketPath);
  client.on('error', () => undefined);
  client.resume();
  const ended = once(client, 'close').then(() => true);
  client.end(bytes);
  const patience = AbortSignal.timeout(10_000);
  const gaveUp = once(patience, 'abort').then(() => false);
  const isOver = await Promise.race([ended, gaveUp]);
  client.destroy();
  return isOver;
}

function hostileBytes(chance) {
  const number = (below) => Math.floor(chance() * below);
  const pick = (of) => of[number(of.length)];
  const noise = (length) => Buffer.from(Array.from({ length }, () => number(256)));
  const u16 = (value) => Buffer.from([value >> 8, value & 255]);
  const u32 = (value) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes;
  };
  const edge = () => pick([0, 1, 2, 3, 4096, 65536, 65537, 0x7fffffff, 0x80000000, 0xffffffff, number(2 ** 32)]);
  const text = (value) => Buffer.concat([u32(value.length), Buffer.from(value)]);
  const option = (type, data, length = data.length) =>
    Buffer.concat([Buffer.from('IHAVEOPT'), u32(type), u32(length), data]);
  const anyOption = () => {
    const data = pick([
      Buffer.alloc(0),
      noise(number(40)),
      text('disk'),
      Buffer.concat([text('disk'), u16(number(65536)), noise(number(20))]),
      Buffer.concat([text(pick(['disk', ''])), u32(edge()), text('base:allocation')]),
      Buffer.concat([u32(edge()), noise(number(10))]),
    ]);
    return option(pick([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, edge()]), data, pick([data.length, data.length, edge()]));
  };
  const request = () =>
    Buffer.concat([
      u32(pick([0x25609513, 0x25609513, 0x25609513, edge()])),
      u16(pick([0, 0, 1, 4, 8, number(65536)])),
      u16(pick([0, 0, 1, 2, 3, 4, 5, 6, 7, 8, number(65536)])),
      noise(8),
      u32(pick([0, 0, edge()])),
      u32(edge()),
      u32(edge()),
    ]);
  const some = (make, most) => Array.from({ length: number(most) }, make);
  const greeting = u32(pick([0, 1, 2, 3, 3, 3, edge()]));
  const structured = pick([Buffer.alloc(0), option(8, Buffer.alloc(0))]);
  const context = pick([Buffer.alloc(0), option(10, Buffer.concat([text('disk'), u32(1), text('base:allocation')]))]);
  const go = option(7, Buffer.concat([text('disk'), u16(0)]));
  const whole = pick([
    () => [noise(number(200))],
    () => [greeting, ...some(anyOption, 8)],
    () => [u32(3), structured, context, go, ...some(request, 8), noise(number(60))],
    () => [u32(3), structured, context, go, ...some(request, 30)],
  ])();
  const bytes = Buffer.concat(whole);
  // Half of them end anywhere.
  return chance() < 0.5 ? bytes : bytes.subarray(0, number(bytes.length + 1));
}
