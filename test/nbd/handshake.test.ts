import { expect, it, onTestFinished } from 'vitest';
import { ConnectionBroken } from '../../src/nbd/protocol.ts';
import { MemoryDevice } from '../support/memory-device.ts';
import { NbdClient, option, text, u32 } from '../support/nbd-client.ts';

const DEVICES = [
  { name: '', device: new MemoryDevice(Buffer.alloc(0x123456, 7)) },
  { name: 'zweite', device: new MemoryDevice(Buffer.alloc(4096, 8)) },
];

async function connect(choosesWithinMs?: number): Promise<NbdClient> {
  const client = await NbdClient.connect(DEVICES, choosesWithinMs);
  onTestFinished(async () => {
    client.stream.destroy();
    await client.ended;
  });
  return client;
}

const NO_CONTEXTS = u32(0);

it('greets as fixed newstyle without zeroes', async () => {
  expect(await (await connect()).greet()).toBe('4e42444d4147494349484156454f50540003');
});

it.each([
  ['LIST', 3, Buffer.alloc(0), ['2 00000000', '2 000000067a7765697465', '1']],
  ['LIST with data', 3, Buffer.alloc(1), ['80000003']],
  ['STARTTLS', 5, Buffer.alloc(0), ['80000001']],
  ['PEEK_EXPORT, which was withdrawn', 4, Buffer.alloc(0), ['80000001']],
  ['EXTENDED_HEADERS', 11, Buffer.alloc(0), ['80000001']],
  ['an option that does not exist', 0xffffffff, Buffer.alloc(5), ['80000001']],
  ['STRUCTURED_REPLY', 8, Buffer.alloc(0), ['1']],
  ['STRUCTURED_REPLY with data', 8, Buffer.alloc(1), ['80000003']],
  [
    'INFO of the device without a name',
    6,
    Buffer.concat([text(''), Buffer.alloc(2)]),
    ['3 000000000000001234560507', '3 0003000000010001000002000000', '1'],
  ],
  [
    'INFO that asks for the block size',
    6,
    Buffer.concat([text('zweite'), Buffer.from('00010003', 'hex')]),
    ['3 000000000000000010000507', '3 0003000000010001000002000000', '1'],
  ],
  ['INFO of a device that does not exist', 6, Buffer.concat([text('x'), Buffer.alloc(2)]), ['80000006']],
  ['INFO whose name is longer than its data', 6, Buffer.from('000000ff0000', 'hex'), ['80000003']],
  ['INFO without the number of details', 6, text('zweite'), ['80000003']],
  ['INFO with fewer details than it says', 6, Buffer.concat([text(''), Buffer.from('0002', 'hex')]), ['80000003']],
  ['GO of a device that does not exist', 7, Buffer.concat([text('x'), Buffer.alloc(2)]), ['80000006']],
  ['SET_META_CONTEXT before STRUCTURED_REPLY', 10, Buffer.concat([text(''), NO_CONTEXTS]), ['80000003']],
])('answers %s', async (_, type, data, replies) => {
  const client = await connect();
  await client.greet();
  expect(await client.option(type, data)).toStrictEqual(replies);
  // It goes on after each of them.
  expect(await client.option(3)).toStrictEqual(['2 00000000', '2 000000067a7765697465', '1']);
});

const ALLOCATION = Buffer.from('base:allocation').toString('hex');

it.each([
  ['LIST without a query', 9, [], [`4 00000000${ALLOCATION}`, '1']],
  ['LIST of all of base', 9, ['base:'], [`4 00000000${ALLOCATION}`, '1']],
  ['LIST of it', 9, ['base:allocation'], [`4 00000000${ALLOCATION}`, '1']],
  ['LIST of others', 9, ['qemu:dirty-bitmap:x'], ['1']],
  ['SET of it and of others', 10, ['x-y:z', 'base:allocation'], [`4 00000001${ALLOCATION}`, '1']],
  ['SET of all of base, which means none', 10, ['base:'], ['1']],
  ['SET of nothing', 10, [], ['1']],
])('answers META_CONTEXT: %s', async (_, type, contexts, replies) => {
  const client = await connect();
  await client.greet();
  await client.option(8);
  const data = Buffer.concat([text('zweite'), u32(contexts.length), ...contexts.map(text)]);
  expect(await client.option(type, data)).toStrictEqual(replies);
});

it.each([
  ['of a device that does not exist', Buffer.concat([text('x'), NO_CONTEXTS]), '80000006'],
  ['with fewer contexts than it says', Buffer.concat([text(''), u32(2), text('base:')]), '80000003'],
  ['with bytes behind the contexts', Buffer.concat([text(''), NO_CONTEXTS, Buffer.alloc(1)]), '80000003'],
  ['without the number of contexts', text(''), '80000003'],
])('refuses a META_CONTEXT %s', async (_, data, reply) => {
  const client = await connect();
  await client.greet();
  await client.option(8);
  expect(await client.option(10, data)).toStrictEqual([reply]);
});

it('lets a client choose another device than the one whose extents it asked for, without extents then', async () => {
  const client = await connect();
  await client.greet();
  await client.option(8);
  await client.option(10, Buffer.concat([text('zweite'), u32(1), text('base:allocation')]));
  await client.option(7, Buffer.concat([text(''), Buffer.alloc(2)]));
  client.send(7, 1n, { length: 512 });
  expect((await client.answer()).errno).toBe(22);
});

it('says that a device can be read in fragments only where replies are structured', async () => {
  const client = await connect();
  await client.greet();
  await client.option(8);
  const [info] = await client.option(7, Buffer.concat([text('zweite'), Buffer.alloc(2)]));
  expect(info).toBe('3 000000000000000010000587');
});

it.each([
  ['with zeroes', 1, `00000000000010000507${'00'.repeat(124)}`],
  ['without', 3, '00000000000010000507'],
])('answers EXPORT_NAME %s', async (_, flags, bytes) => {
  const client = await connect();
  await client.greet(flags);
  client.stream.write(option(1, Buffer.from('zweite')));
  expect((await client.reader.read(bytes.length / 2)).toString('hex')).toBe(bytes);
  client.send(0, 9n, { length: 4 });
  expect((await client.answer(4)).data.toString('hex')).toBe('08080808');
});

it('confirms ABORT, and ends', async () => {
  const client = await connect();
  await client.greet();
  expect(await client.option(2)).toStrictEqual(['1']);
  await client.ended;
  await expect(client.reader.read(1)).rejects.toThrow(ConnectionBroken);
});

it.each([
  ['EXPORT_NAME of a device that does not exist', option(1, Buffer.from('x'))],
  ['something that is no option', Buffer.alloc(16, 1)],
  ['an option of 64 KiB and a byte', Buffer.concat([Buffer.from('IHAVEOPT'), u32(3), u32(65537)])],
  ['options without an end', Buffer.concat(Array.from({ length: 300 }, () => option(3, Buffer.alloc(0))))],
])('ends the connection for %s', async (_, bytes) => {
  const client = await connect();
  await client.greet();
  client.stream.resume();
  client.stream.write(bytes);
  await expect(client.ended).resolves.toBeUndefined();
});

it('ends the connection for flags that it does not know (S98)', async () => {
  const client = await connect();
  await client.greet(7);
  await expect(client.ended).resolves.toBeUndefined();
});

it('ends the connection of a client that does not choose (S98)', async () => {
  const client = await connect(20);
  await client.greet();
  await expect(client.ended).resolves.toBeUndefined();
});
